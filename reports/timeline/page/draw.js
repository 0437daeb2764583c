// What is drawn: the sums above, the lanes below, over one axis of time.

const GUTTER = 190;
const POD_COLOURS = [
  "pending", "bound", "unready", "running", "terminating", "succeeded", "failed",
];
const NODE_COLOURS = ["ready", "notready", "unknown", "gone"];
// The workloads' own colours; beyond them they come again.
const WORKLOADS = [
  ["#0072b2", "#4ba3dc"], ["#e69f00", "#f0b429"], ["#009e73", "#2fc79a"],
  ["#cc79a7", "#dd94bd"], ["#56b4e9", "#8fd0f5"], ["#8a7a00", "#e6d84a"],
  ["#7455b8", "#a48be0"], ["#7a5c3e", "#c2a07c"],
];
const STRIPED = new Set(["terminating", "notready", "pending"]);
const CROSSED = new Set(["failed", "unknown", "gone"]);

let palette = {};

/** Read the colours that hold now: the page follows the dark or light of the reader. */
function readPalette() {
  const style = getComputedStyle(document.documentElement);
  palette = { dark: matchMedia("(prefers-color-scheme: dark)").matches };
  const names = ["ground", "panel", "line", "text", "dim", "accent", "bad", "fault",
    "band", "cursor", ...POD_COLOURS, ...NODE_COLOURS];
  for (const name of names) palette[name] = style.getPropertyValue(`--${name}`).trim();
  palette.of = {};
  for (const name of [...POD_COLOURS, ...NODE_COLOURS]) {
    palette.of[name] = fill(palette[name], name);
  }
}

/** Return a fill: plain, or with a pattern where colour alone must not tell. */
function fill(colour, name) {
  if (!STRIPED.has(name) && !CROSSED.has(name)) return colour;
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const pen = tile.getContext("2d");
  pen.fillStyle = colour;
  pen.fillRect(0, 0, 6, 6);
  pen.strokeStyle = palette.ground;
  pen.globalAlpha = 0.55;
  pen.lineWidth = 1.2;
  pen.beginPath();
  pen.moveTo(-1, 7); pen.lineTo(7, -1);
  if (CROSSED.has(name)) { pen.moveTo(-1, -1); pen.lineTo(7, 7); }
  pen.stroke();
  return pen.createPattern(tile, "repeat");
}

function workloadColour(number) {
  return WORKLOADS[number % WORKLOADS.length][palette.dark ? 1 : 0];
}

/** Size a canvas for the screen and return its pen, cleared. */
function penOf(canvas, width, height) {
  const scale = devicePixelRatio || 1;
  const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.fillStyle = palette.ground;
  pen.fillRect(0, 0, width, height);
  pen.font = '11px system-ui, "Segoe UI", "DejaVu Sans", sans-serif';
  pen.textBaseline = "middle";
  return pen;
}

function xOf(state, t) {
  return GUTTER + ((t - state.from) / (state.to - state.from)) * (state.width - GUTTER);
}

function timeOf(state, x) {
  return state.from + ((x - GUTTER) / (state.width - GUTTER)) * (state.to - state.from);
}

/** Return seconds as text with as many digits as the zoom can tell apart. */
function seconds(ms, step = 100) {
  return (ms / 1000).toFixed(step >= 1000 ? 0 : step >= 100 ? 1 : step >= 10 ? 2 : 3);
}

function drawTop(canvas, model, state) {
  const height = canvas.clientHeight;
  const pen = penOf(canvas, state.width, height);
  drawAxis(pen, state, height);
  drawBands(pen, model, state, 16, height);
  const names = Object.keys(model.sums);
  drawSums(pen, model, state, names.slice(0, 2), 50, 44);
  drawSums(pen, model, state, names.slice(2, 4), 102, 44);
  drawMarks(pen, model, state);
  drawCursor(pen, state, 0, height, true);
}

function drawAxis(pen, state, height) {
  const wanted = ((state.to - state.from) * 90) / (state.width - GUTTER);
  let step = 10 ** Math.floor(Math.log10(Math.max(wanted, 1)));
  step *= [1, 2, 5, 10].find((n) => n * step >= wanted) ?? 10;
  pen.textAlign = "center";
  const first = Math.ceil(state.from / step) * step;
  for (let t = first, n = 0; t <= state.to && n < 200; t += step, n++) {
    const x = xOf(state, t);
    pen.fillStyle = palette.line;
    pen.fillRect(x, 16, 0.5, height);
    pen.fillStyle = palette.dim;
    pen.fillText(`${seconds(t, step)} s`, x, 8);
  }
}

/** Shade the time in which each fault was in force. */
function drawBands(pen, model, state, top, bottom, edges = true) {
  for (const fault of model.faults) {
    const from = Math.max(GUTTER, xOf(state, fault.start));
    const to = xOf(state, fault.end ?? model.length);
    if (to < GUTTER || from > state.width) continue;
    pen.fillStyle = palette.band;
    pen.fillRect(from, top, Math.max(to - from, 1), bottom - top);
    if (!edges) continue;
    pen.fillStyle = palette.fault;
    pen.fillRect(from, top, 1, bottom - top);
  }
}

function drawSums(pen, model, state, names, top, height) {
  const tables = names.map((name) => model.t[`sum:${name}`]);
  const most = Math.max(1, ...tables.map((t) => t.value.reduce((a, b) => Math.max(a, b), 0)));
  const colours = [palette.accent, palette.dim];
  pen.textAlign = "left";
  tables.forEach(({ at, value, rows }, i) => {
    const y = (v) => top + height - 2 - (v / most) * (height - 12);
    pen.beginPath();
    let last = 0;
    let lastX = GUTTER;
    for (let row = 0; row < rows; row++) {
      const x = xOf(state, at[row]);
      if (x > state.width) break;
      if (x >= GUTTER) { step(pen, lastX, y(last), x, y(value[row])); lastX = x; }
      last = value[row];
    }
    const end = Math.min(state.width, xOf(state, model.length));
    step(pen, lastX, y(last), end, y(last));
    pen.strokeStyle = colours[i];
    pen.setLineDash(i ? [3, 2] : []);
    pen.lineWidth = 1.4;
    pen.stroke();
    pen.setLineDash([]);
    pen.fillStyle = colours[i];
    const now = state.cursor === null ? most : valueAt(tables[i], state.cursor);
    const shown = state.cursor === null ? (i ? "" : ` ≤ ${most}`) : ` ${now}`;
    pen.fillText(`${i ? "┄" : "━"} ${names[i]}${shown}`, 8, top + 12 + 16 * i);
  });
}

function step(pen, x, y, toX, toY) {
  if (x === GUTTER) pen.moveTo(x, y);
  pen.lineTo(x, y);
  pen.lineTo(toX, y);
  pen.lineTo(toX, toY);
}

function valueAt({ at, value, rows }, t) {
  let low = 0;
  let high = rows;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (at[middle] <= t) low = middle + 1; else high = middle;
  }
  return low ? value[low - 1] : 0;
}

/** Marks of moments: each kind has a shape, what went wrong is higher and red. */
function drawMarks(pen, model, state) {
  pen.textAlign = "left";
  pen.fillStyle = palette.dim;
  pen.fillText("faults, checks, steps", 8, 32);
  const taken = new Set();
  for (const moment of model.moments) {
    const x = Math.round(xOf(state, moment.at));
    const key = `${x}${moment.kind}${moment.bad}`;
    if (x < GUTTER || x > state.width || taken.has(key)) continue;
    taken.add(key);
    pen.fillStyle = moment.bad ? palette.bad : moment.kind === "fault" ? palette.fault : palette.dim;
    pen.beginPath();
    if (moment.kind === "fault") {
      pen.moveTo(x, 26); pen.lineTo(x + 4, 34); pen.lineTo(x - 4, 34);
    } else if (moment.kind === "check") {
      pen.arc(x, 30, moment.bad ? 4.5 : 3, 0, 7);
    } else if (moment.kind === "warning" || moment.kind === "gap") {
      pen.rect(x - 1, 38, 2, 7);
    } else {
      pen.rect(x - 2, 28, 4, 4);
    }
    pen.fill();
  }
}

function drawCursor(pen, state, top, bottom, label) {
  if (state.cursor === null) return;
  const x = xOf(state, state.cursor);
  if (x < GUTTER || x > state.width) return;
  pen.fillStyle = palette.cursor;
  pen.fillRect(x - 0.75, top, 1.5, bottom - top);
  if (!label) return;
  const text = `${seconds(state.cursor, 10)} s`;
  const right = x > state.width - 70;
  pen.textAlign = right ? "right" : "left";
  const width = pen.measureText(text).width + 6;
  pen.fillRect(right ? x - width : x, 1, width, 14);
  pen.fillStyle = palette.ground;
  pen.fillText(text, right ? x - 3 : x + 3, 8);
}
