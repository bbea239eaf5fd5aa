// A radiograph viewer: one large pane or linked panes with zoom, pan, window and level, invert, full
// screen, lung outlines and heatmaps. All of it is drawn in the browser: nothing here runs a model again.
//
// data.films     {name: grey PNG as a data URL}
// data.panes     [{caption, film, outline, heat}]: names of what is shown; heat "chosen" stands for
//                "<film>/<method>" with the method that the reader chose from data.choose
// data.single    whether the panes share one place, and the reader chooses what is in it
// data.outlines  {name: [[x, y, ...], ...]} in 0..1 of width and height
// data.heats     {name: {url, low, high, diverging, own, ownHigh, hottest}}, strengths 0..255 as a grey
//                PNG; "own" over the image's own range, "hottest" outlines of the hottest tenth
// data.colours   {sequential, diverging}: 256 RGB triples each, flat
// data.words     every text, in the reader's language
const START = { zoom: 1, x: 0.5, y: 0.5, centre: 127.5, width: 255, invert: false, outline: 1, heat: 0.6,
  heatName: null, heatChosen: false, windowing: false, view: "heat", everywhere: false, own: false };
const VIEWS = ["film", "outline", "heat", "side"];
const viewers = new WeakMap();

export default function (component) {
  const { parentElement, data } = component;
  const root = parentElement.querySelector(".viewer");
  let viewer = viewers.get(root);
  if (!viewer) {
    viewer = new Viewer(root);
    viewers.set(root, viewer);
  }
  viewer.show(data);
  return () => viewer.observer.disconnect();
}

class Viewer {
  constructor(root) {
    this.root = root;
    this.state = { ...START };
    this.pointers = new Map();
    this.films = null;
    this.observer = new ResizeObserver(() => this.draw());
    root.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("fullscreenchange", () => this.draw());
  }

  async show(data) {
    const words = JSON.stringify(data.words);
    const films = JSON.stringify(data.films);
    const heats = JSON.stringify(data.heats);
    const turn = this.turn = (this.turn || 0) + 1;
    this.data = data;
    if (this.shownFilms !== films) {
      this.state = { ...this.state, zoom: 1, x: 0.5, y: 0.5, centre: 127.5, width: 255 };
      this.films = null;
      this.filmsLoaded = loadFilms(data.films);
    }
    if (this.shownHeats !== heats) this.heats = {}; // no map of another answer beside this one's score
    [this.shownFilms, this.shownHeats] = [films, heats];
    this.root.classList.toggle("single", Boolean(data.single));
    const names = this.choices();
    const { heatChosen, heatName } = this.state; // each model has its own best method, until one is chosen
    if (!heatChosen || !names.includes(heatName)) this.state.heatName = data.heat || names[0] || null;
    this.root.setAttribute("aria-label", data.words.viewer);
    this.root.querySelector(".hint").textContent = data.words.hint;
    this.observer.observe(this.root);
    const offered = JSON.stringify([names, this.views()]);
    if (this.words !== words || this.offered !== offered) this.buildToolbar();
    for (const select of this.root.querySelectorAll("select")) select.value = this.state.heatName;
    [this.words, this.offered] = [words, offered];
    this.buildPanes();
    this.draw();
    const [loaded] = await Promise.all([this.filmsLoaded, this.loadHeats()]);
    if (turn !== this.turn) return; // a later answer is being shown
    this.films = loaded;
    this.lut = null;
    this.draw();
    this.root.dataset.ready = String(Number(this.root.dataset.ready || 0) + 1);
  }

  async loadHeats() {
    const { data, heats } = this;
    await Promise.all(Object.entries(data.heats).map(async ([name, heat]) => {
      const key = this.heatKey(name);
      if (heats[key]) return;
      const url = key === name ? heat.url : heat.own;
      const colours = heat.diverging ? data.colours.diverging : data.colours.sequential;
      heats[key] = colourise(await loadGrey(url), colours, heat.diverging);
    }));
  }

  heatKey(name) {
    return this.state.own && this.data.heats[name]?.own ? `${name}, own` : name;
  }

  views() {
    if (!this.data.single) return [];
    return this.data.panes.some((pane) => pane.heat) ? VIEWS : VIEWS.filter((name) => name !== "heat");
  }

  view() {
    return this.views().includes(this.state.view) ? this.state.view : "outline";
  }

  shows(i) {
    return !this.data.single || this.view() === "side" || VIEWS.indexOf(this.view()) === i;
  }

  choices() {
    return this.data.choose || [];
  }

  buildToolbar() {
    const { words } = this.data;
    const bar = this.root.querySelector(".toolbar");
    const adjust = this.root.querySelector(".adjust");
    for (const [place, label] of [[bar, words.tools], [adjust, words.adjust]]) {
      place.replaceChildren();
      place.setAttribute("role", "toolbar");
      place.setAttribute("aria-label", label);
    }
    const group = (...items) => {
      const box = document.createElement("div");
      box.className = "group";
      box.append(...items);
      bar.append(box);
    };
    this.windowButton = button("◐", words.windowing, () => this.set({ windowing: !this.state.windowing }), true);
    this.invertButton = button("◩", words.invert, () => this.set({ invert: !this.state.invert }), true);
    this.viewButtons = this.views().map((name) => {
      const made = button(words[name], `${words[name]} (${VIEWS.indexOf(name) + 1})`, () => this.set({ view: name }), true);
      made.dataset.view = name;
      return made;
    });
    if (this.viewButtons.length) group(...this.viewButtons);
    group(
      button("−", words.zoomOut, () => this.zoom(1 / 1.25)),
      button("+", words.zoomIn, () => this.zoom(1.25)),
      button("⟲", words.reset, () => this.reset()),
    );
    group(this.windowButton, this.invertButton, button("⤢", words.fullScreen, () => this.fullScreen()));
    adjust.append(this.slider(words.brightness, "centre", 0, 255, 1, (v) => 255 - v));
    adjust.append(this.slider(words.contrast, "width", 8, 510, 2, (v) => 518 - v));
    if (this.data.panes.some((pane) => pane.outline)) {
      adjust.append(this.slider(words.outlineOpacity, "outline", 0, 1, 0.05));
    }
    if (this.data.panes.some((pane) => pane.heat)) adjust.append(this.slider(words.heatOpacity, "heat", 0, 1, 0.05));
    if (this.choices().length > 1) adjust.append(this.chooser(words.method));
    if (this.data.single && this.choices().length) {
      adjust.append(this.tick(words.everywhere, "everywhere"), this.tick(words.own, "own"));
    }
  }

  // `turn` lets a slider to the right mean brighter or stronger, whatever the quantity's own sense.
  slider(label, name, low, high, step, turn = (v) => v) {
    const box = document.createElement("label");
    const input = document.createElement("input");
    Object.assign(input, { type: "range", min: low, max: high, step, value: turn(this.state[name]) });
    input.dataset.name = name;
    input.addEventListener("input", () => this.set({ [name]: turn(Number(input.value)) }));
    input.refresh = () => { input.value = turn(this.state[name]); };
    box.append(label, input);
    return box;
  }

  tick(label, name) {
    const box = document.createElement("label");
    const input = document.createElement("input");
    Object.assign(input, { type: "checkbox", checked: this.state[name] });
    input.dataset.name = name;
    input.addEventListener("change", async () => {
      this.state[name] = input.checked;
      await this.loadHeats();
      this.scaled = null;
      this.draw();
    });
    box.append(input, label);
    return box;
  }

  chooser(label) {
    const box = document.createElement("label");
    const select = document.createElement("select");
    for (const name of this.choices()) select.append(new Option(this.data.words[name] || name, name));
    select.dataset.name = "method";
    select.addEventListener("change", () => this.set({ heatName: select.value, heatChosen: true }));
    box.append(label, select);
    return box;
  }

  buildPanes() {
    const panes = this.root.querySelector(".panes");
    panes.style.setProperty("--panes", this.data.panes.length);
    if (panes.children.length !== this.data.panes.length) {
      panes.replaceChildren(...this.data.panes.map(() => this.buildPane()));
    }
    this.data.panes.forEach((pane, i) => {
      const figure = panes.children[i];
      figure.querySelector("canvas").setAttribute("aria-label", pane.caption);
      figure.querySelector("figcaption").textContent = pane.caption;
      figure.querySelector(".scale").replaceChildren(...this.scaleOf(pane));
    });
  }

  buildPane() {
    const figure = document.createElement("figure");
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    const scale = document.createElement("div");
    scale.className = "scale";
    figure.append(canvas, document.createElement("figcaption"), scale);
    canvas.addEventListener("pointerdown", (event) => this.pointer(event, canvas));
    canvas.addEventListener("pointermove", (event) => this.pointer(event, canvas));
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => this.pointers.delete(event.pointerId));
    }
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("dblclick", () => this.reset());
    canvas.addEventListener("wheel", (event) => this.wheel(event, canvas), { passive: false });
    return figure;
  }

  scaleOf(pane) {
    const heat = this.heatOf(pane);
    if (!heat) return [];
    const { low, high, ownHigh, diverging } = this.data.heats[heat];
    const colours = diverging ? this.data.colours.diverging : this.data.colours.sequential;
    const stops = [0, 64, 128, 192, 255].map((i) => `rgb(${colours.slice(3 * i, 3 * i + 3).join(",")})`);
    const bar = document.createElement("div");
    bar.className = "bar";
    bar.style.background = `linear-gradient(to right, ${stops.join(",")})`;
    const most = this.heatKey(heat) === heat ? high : ownHigh;
    return [document.createTextNode(low), bar, document.createTextNode(most)];
  }

  heatOf(pane) {
    const name = pane.heat === "chosen" ? `${pane.film}/${this.state.heatName}` : pane.heat;
    return name in this.data.heats ? name : null;
  }

  set(changes) {
    Object.assign(this.state, changes);
    if ("centre" in changes || "width" in changes || "invert" in changes) this.lut = null;
    this.draw();
  }

  reset() {
    const { zoom, x, y, centre, width, invert } = START;
    this.set({ zoom, x, y, centre, width, invert });
  }

  zoom(factor, x = this.state.x, y = this.state.y) {
    const zoom = Math.min(16, Math.max(1, this.state.zoom * factor));
    const held = 1 - this.state.zoom / zoom; // keeps (x, y) under the pointer
    this.set({ zoom, x: this.state.x + (x - this.state.x) * held, y: this.state.y + (y - this.state.y) * held });
  }

  fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.root.requestFullscreen();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.root) return;
    const step = 0.1 / this.state.zoom;
    const actions = {
      "+": () => this.zoom(1.25), "=": () => this.zoom(1.25), "-": () => this.zoom(1 / 1.25),
      ...Object.fromEntries(this.views().map((name) => [VIEWS.indexOf(name) + 1, () => this.set({ view: name })])),
      0: () => this.reset(), i: () => this.set({ invert: !this.state.invert }), f: () => this.fullScreen(),
      ArrowLeft: () => this.set({ x: this.state.x - step }), ArrowRight: () => this.set({ x: this.state.x + step }),
      ArrowUp: () => this.set({ y: this.state.y - step }), ArrowDown: () => this.set({ y: this.state.y + step }),
      b: () => this.set({ centre: this.state.centre - 8 }), B: () => this.set({ centre: this.state.centre + 8 }),
      c: () => this.set({ width: Math.max(8, this.state.width - 16) }),
      C: () => this.set({ width: Math.min(510, this.state.width + 16) }),
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }

  wheel(event, canvas) {
    const focused = this.root.matches(":focus-within") || document.fullscreenElement;
    if (!focused) return; // a page that is being scrolled goes on scrolling
    event.preventDefault();
    const at = this.filmPoint(event, canvas);
    this.zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15, at.x, at.y);
  }

  pointer(event, canvas) {
    if (event.type === "pointerdown") {
      if (event.pointerType === "mouse") this.root.focus({ preventScroll: true });
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, event);
      return;
    }
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const others = [...this.pointers.entries()].filter(([id]) => id !== event.pointerId);
    const dx = event.clientX - before.clientX;
    const dy = event.clientY - before.clientY;
    this.pointers.set(event.pointerId, event);
    if (others.length === 1) {
      const other = others[0][1];
      const distance = (e) => Math.hypot(e.clientX - other.clientX, e.clientY - other.clientY);
      const at = this.filmPoint(event, canvas);
      this.zoom(distance(event) / Math.max(1, distance(before)), at.x, at.y);
    } else if (this.state.windowing || before.buttons === 2 || event.shiftKey) {
      const width = Math.min(510, Math.max(8, this.state.width + dx));
      this.set({ width, centre: Math.min(255, Math.max(0, this.state.centre + dy / 2)) });
    } else {
      const { wide, high } = this.filmSize(canvas);
      this.set({ x: this.state.x - dx / wide, y: this.state.y - dy / high });
    }
  }

  filmPoint(event, canvas) {
    const box = canvas.getBoundingClientRect();
    const { x, y } = this.state;
    const { wide, high } = this.filmSize(canvas);
    return { x: x + (event.clientX - box.left - box.width / 2) / wide,
      y: y + (event.clientY - box.top - box.height / 2) / high };
  }

  // Width and height of the whole radiograph on the screen, which may be larger than its canvas.
  filmSize(canvas) {
    const { columns, rows } = this.films[canvas.dataset.film];
    const scale = Math.min(canvas.clientWidth / columns, canvas.clientHeight / rows) * this.state.zoom;
    return { wide: columns * scale, high: rows * scale };
  }

  draw() {
    if (!this.films || this.pending) return;
    this.pending = requestAnimationFrame(() => {
      this.pending = 0;
      if (this.films) this.drawNow(); // not while another radiograph is on its way
    });
  }

  drawNow() {
    const { state } = this;
    const half = 0.5 / state.zoom;
    state.x = Math.min(1 - half, Math.max(half, state.x));
    state.y = Math.min(1 - half, Math.max(half, state.y));
    if (!this.lut) this.applyWindow();
    this.root.classList.toggle("windowing", state.windowing);
    this.root.classList.toggle("zoomed", state.zoom > 1);
    this.windowButton.setAttribute("aria-pressed", state.windowing);
    this.invertButton.setAttribute("aria-pressed", state.invert);
    for (const input of this.root.querySelectorAll("input[type=range]")) input.refresh();
    const figures = this.root.querySelectorAll("figure");
    figures.forEach((figure, i) => { figure.hidden = !this.shows(i); });
    for (const made of this.viewButtons) made.setAttribute("aria-pressed", made.dataset.view === this.view());
    this.root.querySelector(".panes").style.setProperty("--panes", this.data.panes.filter((_, i) => this.shows(i)).length);
    this.root.querySelector(".remark").textContent = state.everywhere ? this.data.words.remark : "";
    this.data.panes.forEach((pane, i) => { if (this.shows(i)) this.drawPane(pane, figures[i].querySelector("canvas")); });
    this.buildScales();
    Object.assign(this.root.dataset, { zoom: state.zoom.toFixed(3), invert: state.invert,
      window: `${state.centre.toFixed(0)}/${state.width.toFixed(0)}`, heat: state.heat, method: state.heatName,
      view: this.view(), everywhere: state.everywhere, own: state.own });
  }

  buildScales() {
    if (this.scaled === this.state.heatName) return;
    this.scaled = this.state.heatName;
    this.buildPanes();
  }

  applyWindow() {
    const { centre, width, invert } = this.state;
    this.lut = new Uint8ClampedArray(256);
    for (let v = 0; v < 256; v += 1) {
      const shown = ((v - centre) / width + 0.5) * 255;
      this.lut[v] = invert ? 255 - shown : shown;
    }
    const grey = Array.from(this.lut, (v) => (255 << 24) | (v << 16) | (v << 8) | v);
    for (const { levels, columns, rows, shown } of Object.values(this.films)) {
      const image = new ImageData(columns, rows);
      const pixels = new Uint32Array(image.data.buffer);
      for (let i = 0; i < levels.length; i += 1) pixels[i] = grey[levels[i]];
      Object.assign(shown, { width: columns, height: rows });
      shown.getContext("2d").putImageData(image, 0, 0);
    }
  }

  drawPane(pane, canvas) {
    const { columns, rows, shown } = this.films[pane.film];
    const wide = Math.max(1, Math.round(canvas.clientWidth * window.devicePixelRatio));
    const high = this.data.single ? Math.max(1, Math.round(canvas.clientHeight * window.devicePixelRatio))
      : Math.round((wide * rows) / columns);
    canvas.dataset.film = pane.film;
    if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
    const context = canvas.getContext("2d");
    const { zoom, x, y } = this.state;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, wide, high);
    const scale = Math.min(wide / columns, high / rows) * zoom;
    context.setTransform(scale, 0, 0, scale, wide / 2 - x * columns * scale, high / 2 - y * rows * scale);
    context.imageSmoothingEnabled = scale < 4;
    context.drawImage(shown, 0, 0);
    const heat = this.heatOf(pane);
    const lungs = this.data.outlines[pane.outline];
    const picture = this.heats[this.heatKey(heat)];
    if (picture) {
      context.save();
      if (this.data.single && lungs && !this.state.everywhere) context.clip(pathOf(lungs, columns, rows));
      context.imageSmoothingEnabled = true;
      context.globalAlpha = this.state.heat;
      context.drawImage(picture, 0, 0, columns, rows);
      context.globalAlpha = 1;
      if (this.data.heats[heat].hottest) this.drawOutline(context, this.data.heats[heat].hottest, columns, rows, scale, "#fff");
      context.restore();
    }
    if (lungs) this.drawOutline(context, lungs, columns, rows, scale);
  }

  drawOutline(context, outlines, columns, rows, scale, line = "#00d5e6") {
    context.globalAlpha = this.state.outline;
    for (const [colour, width] of [["#000", 4], [line, 2]]) { // dark rim: seen on any grey
      context.strokeStyle = colour;
      context.lineWidth = (width * window.devicePixelRatio) / scale;
      context.stroke(pathOf(outlines, columns, rows));
    }
    context.globalAlpha = 1;
  }
}

function pathOf(outlines, columns, rows) {
  const path = new Path2D();
  for (const points of outlines) {
    for (let i = 0; i < points.length; i += 2) {
      path[i ? "lineTo" : "moveTo"](points[i] * columns, points[i + 1] * rows);
    }
    path.closePath();
  }
  return path;
}

function button(sign, label, act, pressed = false) {
  const made = document.createElement("button");
  Object.assign(made, { type: "button", textContent: sign, title: label });
  made.setAttribute("aria-label", label);
  if (pressed) made.setAttribute("aria-pressed", "false");
  made.addEventListener("click", act);
  return made;
}

async function loadFilms(films) {
  const loaded = await Promise.all(Object.entries(films).map(
    async ([name, url]) => [name, { ...await loadGrey(url), shown: document.createElement("canvas") }]));
  return Object.fromEntries(loaded);
}

async function loadGrey(url) {
  const picture = new Image();
  picture.src = url;
  await picture.decode();
  const canvas = document.createElement("canvas");
  const [columns, rows] = [picture.naturalWidth, picture.naturalHeight];
  Object.assign(canvas, { width: columns, height: rows });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const colours = context.getImageData(0, 0, columns, rows).data;
  const levels = new Uint8Array(columns * rows);
  for (let i = 0; i < levels.length; i += 1) levels[i] = colours[4 * i];
  return { levels, columns, rows };
}

// Levels 0..255 to colours whose cover grows with the heat's own strength; 0 (or the middle of a
// difference) is left out, so that a film without evidence stays grey.
function colourise({ levels, columns, rows }, colours, diverging) {
  const image = new ImageData(columns, rows);
  for (let i = 0; i < levels.length; i += 1) {
    const v = levels[i];
    const strength = diverging ? Math.abs(v - 128) / 127 : v / 255;
    image.data.set([colours[3 * v], colours[3 * v + 1], colours[3 * v + 2], 255 * Math.sqrt(strength)], 4 * i);
  }
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: columns, height: rows });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}
