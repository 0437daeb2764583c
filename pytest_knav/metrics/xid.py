"""What dcgm-exporter says of XID errors in the label `err_msg`."""

from __future__ import annotations

from typing import Final


# Those that stand for hardware, from dcgm-exporter's
# internal/pkg/collector/xid_errors.go, which has them from NVIDIA's XID catalogue.
_MESSAGES: Final = {
    0: "No Error",
    13: "Graphics Engine Exception",
    31: "GPU memory page fault",
    43: "GPU stopped processing",
    45: "Preemptive cleanup, due to previous errors -- Most likely to see when "
    "running multiple cuda",
    48: "Double Bit ECC Error",
    61: "Internal micro-controller breakpoint/warning",
    62: "Internal micro-controller halt",
    63: "ECC page retirement or row remapping recording event",
    64: "ECC page retirement or row remapper recording failure",
    74: "NVLINK Error",
    79: "GPU has fallen off the bus",
    92: "High single-bit ECC error rate",
    94: "Contained ECC error",
    95: "Uncontained ECC error",
    109: "Context Switch Timeout Error",
    119: "GSP RPC Timeout",
    120: "GSP Error",
    140: "Unrecovered ECC Error",
    143: "GPU Initialization Failure",
    145: "NVLINK: RLW Error",
    149: "NVLINK: NETIR Error",
    154: "GPU Recovery Action Changed",
    171: "Uncorrectable DRAM Error",
    172: "Uncorrectable SRAM Error",
}


def describe(xid: int) -> str:
    """Return the text of an XID error; of one that is not in the list, the default."""
    return _MESSAGES.get(xid, "Unknown Error")
