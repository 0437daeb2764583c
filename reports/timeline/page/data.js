// The data of the page: base64 of gzip of a header in JSON and columns of int32.

/** Return the model of the page, decoded. */
async function load() {
  const text = document.getElementById("data").textContent.trim();
  const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream();
  const plain = stream.pipeThrough(new DecompressionStream("gzip"));
  const bytes = await new Response(plain).arrayBuffer();
  const size = new DataView(bytes).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, size)));
  const tables = {};
  let at = 4 + size;
  for (const [name, rows, columns] of head.tables) {
    tables[name] = { rows };
    for (const column of columns) {
      tables[name][column] = new Int32Array(bytes, at, rows);
      at += 4 * rows;
    }
    restore(tables[name]);
  }
  return build(head, tables);
}

/** Begins are kept as differences, ends as lengths: both compress better. */
function restore(table) {
  const { rows, start, end, at } = table;
  for (let i = 1; start && i < rows; i++) start[i] += start[i - 1];
  for (let i = 0; end && i < rows; i++) end[i] += start[i];
  for (let i = 1; at && i < rows; i++) at[i] += at[i - 1];
}

/** Return for each lane where its rows stand: `rows[from[lane]]` to before the next. */
function byLane(lane, lanes) {
  const from = new Int32Array(lanes + 1);
  for (const one of lane) if (one >= 0) from[one + 1]++;
  for (let i = 0; i < lanes; i++) from[i + 1] += from[i];
  const rows = new Int32Array(from[lanes]);
  const next = from.slice();
  for (let i = 0; i < lane.length; i++) if (lane[i] >= 0) rows[next[lane[i]]++] = i;
  return { from, rows };
}

/** Return the model: what the header has, the tables, and who belongs to whom. */
function build(head, tables) {
  const model = { ...head, t: tables };
  model.number = new Map(head.nodes.map((name, i) => [name, i]));
  const owner = head.gpus.map((name) => {
    const node = model.number.get(name.slice(0, name.lastIndexOf("/")));
    return node === undefined ? -1 : node;
  });
  model.gpuNode = owner;
  model.gpusOf = byLane(owner, head.nodes.length);
  model.nodeRows = byLane(tables.nodes.node, head.nodes.length);
  model.gpuRows = byLane(tables.gpus.gpu, head.gpus.length);
  model.podRows = byLane(tables.pods.workload, head.workloads.length);
  model.life = lives(tables.pods, head.workloads.length);
  model.hit = hits(model);
  return model;
}

/** Return which lanes the faults hit: of each view, lane to the faults by number. */
function hits(model) {
  const hit = { nodes: new Map(), gpus: new Map(), workloads: new Map() };
  const note = (view, lane, fault) => {
    if (!hit[view].has(lane)) hit[view].set(lane, new Set());
    hit[view].get(lane).add(fault);
  };
  const gpuNumber = new Map(model.gpus.map((name, i) => [name, i]));
  model.faults.forEach((fault, number) => {
    for (const name of fault.nodes) {
      const node = model.number.get(name);
      if (node === undefined) continue;
      note("nodes", node, number);
      const { from, rows } = model.gpusOf;
      const some = fault.targets.some((one) => gpuNumber.has(one));
      for (let i = from[node]; i < from[node + 1]; i++) {
        if (!some || fault.targets.includes(model.gpus[rows[i]])) {
          note("gpus", rows[i], number);
        }
      }
    }
  });
  const pods = model.t.pods;
  for (let i = 0; i < pods.rows; i++) {
    for (const number of hit.nodes.get(pods.node[i]) ?? []) {
      const fault = model.faults[number];
      // Who sat in the blast radius when it was injected.
      if (pods.start[i] <= fault.start && pods.end[i] > fault.start) {
        note("workloads", pods.workload[i], number);
      }
    }
  }
  return hit;
}

/** Return when each workload had its first pod, and its last one ended. */
function lives(pods, count) {
  const start = new Int32Array(count).fill(2 ** 31 - 1);
  const end = new Int32Array(count);
  for (let i = 0; i < pods.rows; i++) {
    const lane = pods.workload[i];
    start[lane] = Math.min(start[lane], pods.start[i]);
    end[lane] = Math.max(end[lane], pods.end[i]);
  }
  return { start, end };
}
