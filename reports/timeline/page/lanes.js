// The lanes: nodes with their GPUs, GPUs, workloads with their members.

const WORKLOADS_AT_ONCE = 200;

/** Return the names of the lanes of a view. */
function laneNames(model, view) {
  return model[view];
}

/** Return which lanes are shown: those that the filter and the switch leave. */
function shownLanes(model, state) {
  const names = laneNames(model, state.view);
  const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const hit = model.hit[state.view];
  const lanes = [];
  // Of very many workloads, those that are there in the span that is shown.
  const many = state.view === "workloads" && names.length > WORKLOADS_AT_ONCE;
  for (let lane = 0; lane < names.length; lane++) {
    if (state.hitOnly && !hit.has(lane)) continue;
    if (many && (model.life.end[lane] < state.from || model.life.start[lane] > state.to)) continue;
    const text = `${names[lane]} ${groupOf(model, state.view, lane)}`.toLowerCase();
    if (words.every((word) => text.includes(word))) lanes.push(lane);
  }
  return lanes;
}

function groupOf(model, view, lane) {
  if (view === "nodes") return model.groups[lane];
  if (view === "gpus") return model.groups[model.gpuNode[lane]] ?? "";
  return "";
}

/** Return the height of a lane: whole ones for reading, small ones to see all. */
function laneHeight(model, state, lane) {
  if (state.fit) return state.fitHeight;
  if (state.view === "gpus") return 14;
  if (state.view === "nodes") return 26;
  const members = model.members[lane];
  if (state.open.has(lane)) return 18 + Math.min(members, 2000) * 12;
  return Math.max(18, Math.min(members * 3 + 4, 40));
}

/** Set where each shown lane begins; the last entry is the whole height. */
function layOut(model, state, viewport) {
  state.lanes = shownLanes(model, state);
  state.fitHeight = Math.max(2, Math.min(26, viewport / Math.max(1, state.lanes.length)));
  state.tops = new Float64Array(state.lanes.length + 1);
  state.lanes.forEach((lane, i) => {
    state.tops[i + 1] = state.tops[i] + laneHeight(model, state, lane);
  });
}

/** Return the place of the lane at a height, among those shown. */
function placeAt(state, y) {
  let low = 0;
  let high = state.lanes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (state.tops[middle + 1] <= y) low = middle + 1; else high = middle;
  }
  return low < state.lanes.length ? low : -1;
}

function drawLanes(canvas, model, state, scroll, height) {
  const pen = penOf(canvas, state.width, height);
  drawBands(pen, model, state, 0, height, false);
  const first = Math.max(0, placeAt(state, scroll));
  let drawn = 0;
  for (let i = first; i < state.lanes.length; i++) {
    const top = state.tops[i] - scroll;
    if (top > height) break;
    drawLane(pen, model, state, state.lanes[i], top, state.tops[i + 1] - scroll);
    drawn++;
  }
  if (!state.lanes.length) {
    pen.fillStyle = palette.dim;
    pen.textAlign = "left";
    pen.fillText(laneNames(model, state.view).length
      ? "No lane fits the filter." : "This run has none of these.", GUTTER + 20, 30);
  }
  drawCursor(pen, state, 0, height, false);
  return drawn;
}

function drawLane(pen, model, state, lane, top, bottom) {
  const hit = model.hit[state.view].get(lane);
  if (hit) drawHits(pen, model, state, hit, top, bottom);
  const paint = { nodes: paintNode, gpus: paintGpu, workloads: paintWorkload }[state.view];
  paint(pen, model, state, lane, top, bottom);
  if (bottom - top < 9) return;
  pen.fillStyle = palette.line;
  pen.fillRect(0, bottom - 0.5, state.width, 0.5);
  pen.fillStyle = palette.ground;
  pen.fillRect(0, top, GUTTER - 2, bottom - top - 0.5);
  if (lane === state.selected) {
    pen.fillStyle = palette.panel;
    pen.fillRect(0, top, GUTTER - 2, bottom - top - 0.5);
    pen.fillStyle = palette.accent;
    pen.fillRect(0, top, 3, bottom - top - 0.5);
  }
  pen.textAlign = "left";
  pen.fillStyle = hit ? palette.fault : palette.text;
  const arrow = state.view === "workloads" ? (state.open.has(lane) ? "▾ " : "▸ ") : "";
  const name = `${hit ? "⚡ " : ""}${arrow}${laneNames(model, state.view)[lane]}`;
  const middle = Math.min(top + 12, (top + bottom) / 2);
  pen.fillText(shortened(pen, name, GUTTER - 16), 8, middle);
}

/** Return a text cut in its middle: names differ at their ends. */
function shortened(pen, text, width) {
  if (pen.measureText(text).width <= width) return text;
  let keep = text.length;
  while (keep > 4) {
    keep--;
    const cut = `${text.slice(0, Math.ceil(keep / 2))}…${text.slice(-Math.floor(keep / 2))}`;
    if (pen.measureText(cut).width <= width) return cut;
  }
  return "…";
}

function drawHits(pen, model, state, hit, top, bottom) {
  pen.fillStyle = palette.band;
  for (const number of hit) {
    const fault = model.faults[number];
    const from = Math.max(GUTTER, xOf(state, fault.start));
    const to = Math.min(state.width, xOf(state, fault.end ?? model.length));
    if (to < GUTTER || from > state.width) continue;
    pen.fillRect(from, top, Math.max(1, to - from), bottom - top);
    pen.fillRect(from, top, Math.max(1, to - from), bottom - top);
  }
}

/** Call `paint(row, x, width)` for each row of a lane that is in sight. */
function eachSpan(index, table, state, lane, paint) {
  for (let i = index.from[lane]; i < index.from[lane + 1]; i++) {
    const row = index.rows[i];
    if (table.end[row] < state.from || table.start[row] > state.to) continue;
    const x = Math.max(GUTTER, xOf(state, table.start[row]));
    paint(row, x, Math.max(0.7, Math.min(state.width, xOf(state, table.end[row])) - x));
  }
}

function paintNode(pen, model, state, lane, top, bottom) {
  const strip = bottom - top > 9 ? 5 : bottom - top;
  const { nodes } = model.t;
  if (bottom - top > 9) {
    const { from, rows } = model.gpusOf;
    const count = from[lane + 1] - from[lane];
    const each = (bottom - top - strip - 3) / Math.max(1, count);
    for (let i = 0; i < count; i++) {
      const y = top + strip + 2 + i * each;
      eachSpan(model.gpuRows, model.t.gpus, state, rows[from[lane] + i], (row, x, width) => {
        pen.fillStyle = workloadColour(model.t.gpus.workload[row]);
        pen.fillRect(x, y, width, Math.max(0.8, each - 0.4));
      });
    }
  }
  eachSpan(model.nodeRows, nodes, state, lane, (row, x, width) => {
    const number = nodes.state[row];
    pen.fillStyle = palette.of[NODE_COLOURS[number % 4]];
    pen.fillRect(x, top + 0.5, width, strip - 0.5);
    if (number < 4) return;
    // Cordoned or tainted: a bar in the text's colour, broken where it is a taint.
    pen.fillStyle = palette.text;
    const dash = number & 8 ? 6 : width;
    for (let at = 0, n = 0; at < width && n < 400; at += dash * 1.6, n++) {
      pen.fillRect(x + at, top + strip / 2 - 0.5, Math.min(dash, width - at), 1.2);
    }
  });
}

function paintGpu(pen, model, state, lane, top, bottom) {
  const table = model.t.gpus;
  eachSpan(model.gpuRows, table, state, lane, (row, x, width) => {
    pen.fillStyle = workloadColour(table.workload[row]);
    pen.fillRect(x, top + 1, width, Math.max(1, bottom - top - 2));
    if (width < 60 || bottom - top < 11) return;
    pen.fillStyle = palette.ground;
    pen.textAlign = "left";
    const text = model.pods[table.pod[row]];
    pen.fillText(shortened(pen, text, width - 8), x + 4, (top + bottom) / 2);
  });
}

function paintWorkload(pen, model, state, lane, top, bottom) {
  const table = model.t.pods;
  const open = state.open.has(lane) && !state.fit;
  const inset = open ? 18 : 1.5;
  const each = (bottom - top - inset - 1) / model.members[lane];
  eachSpan(model.podRows, table, state, lane, (row, x, width) => {
    const y = top + inset + table.member[row] * each;
    const name = POD_COLOURS[table.state[row]];
    pen.fillStyle = palette.of[name];
    const high = Math.max(0.8, each - (each > 3 ? 0.6 : 0));
    // What waits is half as high: a hole is seen from afar.
    pen.fillRect(x, name === "pending" ? y + high / 4 : y, width, name === "pending" ? high / 2 : high);
    if (!open || width < 90 || each < 11) return;
    pen.fillStyle = palette.ground;
    pen.textAlign = "left";
    const node = table.node[row] < 0 ? "" : ` on ${model.nodes[table.node[row]]}`;
    pen.fillText(shortened(pen, model.pods[table.pod[row]] + node, width - 8), x + 4, y + high / 2);
  });
}
