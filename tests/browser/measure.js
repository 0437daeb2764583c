// Measures the picture on this page as the browser has laid it out, and draws it once
// more as an <img> would be, to count its colours. The result is left in #facts.
(() => {
  const svg = document.querySelector("svg");
  const problems = [];
  const name = (e) =>
    e.tagName === "text" ? `text "${e.textContent}"` : `${e.tagName}.${e.getAttribute("class")}`;
  const say = (what) => problems.length < 20 && problems.push(what);
  const box = (e) => e.getBoundingClientRect();
  const within = (a, b) =>
    a.left >= b.left - 0.5 && a.right <= b.right + 0.5 &&
    a.top >= b.top - 0.5 && a.bottom <= b.bottom + 0.5;
  const overlap = (a, b) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > 0.5 &&
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 0.5;

  const whole = box(svg);
  const texts = [...svg.querySelectorAll("text")];
  for (const text of texts) {
    const frame = text.parentElement.querySelector(":scope > rect");
    const around = frame && frame.classList.length && text.previousElementSibling
      && text.parentElement.firstElementChild === frame && !text.closest("[data-head]")
      ? box(frame) : whole;
    if (!within(box(text), around)) say(`${name(text)} leaves its box`);
  }

  // Only what is near can overlap: texts by the cell of a grid.
  const cells = new Map();
  for (const text of texts) {
    const b = box(text);
    for (let x = Math.floor(b.left / 64); x <= Math.floor(b.right / 64); x++) {
      for (let y = Math.floor(b.top / 64); y <= Math.floor(b.bottom / 64); y++) {
        const key = `${x} ${y}`;
        for (const [other, o] of cells.get(key) || []) {
          if (overlap(b, o)) say(`${name(text)} overlaps ${name(other)}`);
        }
        if (!cells.has(key)) cells.set(key, []);
        cells.get(key).push([text, b]);
      }
    }
  }

  // Every box lies in the one around it, and beside its siblings.
  const frames = [...svg.querySelectorAll("g > rect:first-child")]
    .filter((rect) => !rect.closest("[data-head]"));
  const frameOf = (g) => {
    for (let at = g; at && at !== svg; at = at.parentElement) {
      const first = at.firstElementChild;
      if (first && first.tagName === "rect") return first;
    }
    return null;
  };
  const siblings = new Map();
  for (const frame of frames) {
    const outer = frameOf(frame.parentElement.parentElement);
    if (outer && !within(box(frame), box(outer))) say(`${name(frame)} leaves its group`);
    const all = siblings.get(outer) || [];
    siblings.set(outer, [...all, frame]);
  }
  for (const all of siblings.values()) {
    const boxes = all.map(box);
    boxes.forEach((a, i) => boxes.slice(i + 1, i + 200).forEach((b) => {
      if (overlap(a, b)) say("two boxes of a group overlap");
    }));
  }

  // GPUs lie in their node, below its name.
  for (const node of svg.querySelectorAll("rect.n")) {
    const text = box(node.parentElement.querySelector("text"));
    for (const path of node.parentElement.querySelectorAll(":scope > path")) {
      const b = box(path);
      if (!within(b, box(node))) say(`${name(path)} leaves its node`);
      if (overlap(b, text)) say(`${name(path)} covers a name`);
    }
  }

  const facts = {
    problems,
    texts: texts.length,
    nodes: svg.querySelectorAll("rect.n").length,
    racks: svg.querySelectorAll("rect.r").length,
    switches: svg.querySelectorAll("rect.s").length,
    smallest: Math.min(...texts.map((t) => parseFloat(getComputedStyle(t).fontSize))),
    width: whole.width,
    height: whole.height,
  };
  const done = () => { document.querySelector("#facts").textContent = JSON.stringify(facts); };
  const source = new XMLSerializer().serializeToString(svg);
  const image = new Image();
  image.onload = () => {
    const canvas = document.createElement("canvas");
    canvas.width = Math.min(1600, whole.width);
    canvas.height = Math.round(canvas.width * whole.height / whole.width);
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
    const counts = {};
    for (let i = 0; i < data.length; i += 4) {
      const hex = "#" + [0, 1, 2].map((k) => data[i + k].toString(16).padStart(2, "0")).join("");
      counts[hex] = (counts[hex] || 0) + 1;
    }
    facts.pixels = canvas.width * canvas.height;
    facts.colours = Object.fromEntries(
      Object.entries(counts).sort((a, b) => b[1] - a[1]).slice(0, 60));
    done();
  };
  image.onerror = () => { say("it cannot be shown as an image"); done(); };
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(source);
})();
