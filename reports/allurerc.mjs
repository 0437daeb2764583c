// Allure 3: `allure generate --config <this file> --output .knav/report <results>`.
// Rules are tried in order; a result belongs to the first that matches.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

// Allure's quality gate uses an iterator helper that Node has from 22 on.
const iterators = Object.getPrototypeOf(Object.getPrototypeOf([].values()));
iterators.toArray ??= function toArray() {
  return [...this];
};

// What `--knav-gate` said, written beside the results: each of its rules is one of the
// report. Without it no test may fail, and none may be unable to tell.
const found = [...process.argv.slice(2), ".knav/allure-results"]
  .map((place) => join(place, "knav-gate.json"))
  .find((place) => existsSync(place));
const gate = found && JSON.parse(readFileSync(found, "utf8"));
const verdicts = {
  new_failures: ["fail"],
  inconclusive: ["inconclusive"],
  broken: ["broken"],
};
const has = (result, asked) =>
  result.labels.some(({ name, value }) => name === "knav.verdict" && asked.includes(value));

function told(rule, status, text) {
  const asked = verdicts[rule] ?? [];
  return {
    rule,
    message: () => (status === "inconclusive" ? `could not be judged: ${text}` : text),
    successMessage: () => text,
    validate: async ({ trs }) => ({
      success: status === "pass",
      actual: status,
      testResults: status === "pass" ? [] : trs.filter((tr) => has(tr, asked)).map((tr) => tr.id),
    }),
  };
}

function none(rule, status) {
  return {
    rule,
    message: ({ actual }) => `${actual} ${rule}`,
    successMessage: () => `none ${rule}`,
    validate: async ({ trs }) => {
      const those = trs.filter((tr) => tr.status === status);
      return {
        success: those.length === 0,
        actual: those.length,
        testResults: those.map((tr) => tr.id),
      };
    },
  };
}

const rules = gate
  ? [
      told("gate", gate.answer === "SHIP" ? "pass" : "fail", gate.why),
      ...gate.findings.map(({ rule, status, text }) => told(rule, status, text)),
    ]
  : [none("failed", "failed"), none("broken or inconclusive", "broken")];

export default {
  name: "pytest-knav",
  output: ".knav/report",
  historyPath: ".knav/allure-history.jsonl",
  appendHistory: true,
  plugins: {
    awesome: {
      options: {
        reportName: "pytest-knav",
        singleFile: true,
        reportLanguage: "en",
        groupBy: ["epic", "feature"],
      },
    },
  },
  qualityGate: {
    use: rules,
    rules: [Object.fromEntries(rules.map(({ rule }) => [rule, gate ? "pass" : 0]))],
  },
  categories: {
    rules: [
      {
        name: "Inconclusive",
        matchers: { statuses: ["broken"], message: /\bInconclusive\b/ },
      },
      {
        name: "Known bug",
        matchers: { statuses: ["skipped"], message: /\bknown bug\b/ },
      },
      {
        name: "Known bug that does not show any more",
        matchers: { statuses: ["failed"], message: /\bknown bug .*: the test passed/ },
      },
      {
        name: "Scheduler did not recover",
        matchers: { statuses: ["failed"], message: /\b(NotRecovered|WaitTimeout)\b/ },
      },
      {
        name: "Invariant broken",
        matchers: { statuses: ["failed"], message: /\bInvariantViolated\b/ },
      },
      {
        name: "Threshold (SLO) not kept",
        matchers: { statuses: ["failed"], message: /\bSloBreached\b/ },
      },
      { name: "Other product failure", matchers: { statuses: ["failed"] } },
      { name: "Harness error", matchers: { statuses: ["broken"] } },
    ],
  },
};
