// Allure 3: `allure generate --config <this file> --output .knav/report <results>`.
// Rules are tried in order; a result belongs to the first that matches.
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
        matchers: {
          statuses: ["failed"],
          message: /\b(InvariantViolated|SloBreached)\b/,
        },
      },
      { name: "Other product failure", matchers: { statuses: ["failed"] } },
      { name: "Harness error", matchers: { statuses: ["broken"] } },
    ],
  },
};
