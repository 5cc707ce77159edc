// Brings the moving figures of a page to life. What a figure computes comes printed from SymPy and
// lies in a CustomJS of its Bokeh document; what stands here is the same for every figure.
"use strict";
(function (root) {
  const FAR = 1e12;

  // The n-th number of a seed, uniform on (0, 1): the twin of optimlib.explore.noise.
  function uniform(seed, n) {
    const a = (Math.imul(seed, 0x9e3779b9) + Math.imul(n + 1, 0x6d2b79f5)) | 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
  }

  function normal(seed, t, dim) {
    const z = [];
    for (let i = 0; i < dim; i++) {
      const n = (t - 1) * dim + i;
      z.push(Math.sqrt(-2 * Math.log(uniform(seed, 2 * n)))
        * Math.cos(2 * Math.PI * uniform(seed, 2 * n + 1)));
    }
    return z;
  }

  // Take the steps of a walk; `run` holds its printed functions, `spec` its constants.
  function walk(run, spec, c) {
    let h = {eps: run.eps, ...run.set(c, 1)};
    let x = run.start(c);
    const dim = x.length;
    const seed = typeof spec.seed === "string" ? c[spec.seed] : spec.seed;
    const quiet = new Array(dim).fill(0);
    let s = x.map(() => run.memory(h));
    const result = {x: [x], g: [], s: []};
    for (let t = 1; t <= spec.steps; t++) {
      if (spec.moves && t > 1) h = {eps: run.eps, ...run.set(c, t)};
      const g = run.gradient(c, t, x, spec.noisy ? normal(seed, t, dim) : quiet);
      const now = new Array(dim), memory = new Array(dim);
      for (let i = 0; i < dim; i++) {
        const done = run.step(t, x[i], g[i], s[i], h);
        now[i] = spec.bounds
          ? Math.min(Math.max(done.x, spec.bounds[0]), spec.bounds[1]) : done.x;
        memory[i] = done.s;
      }
      x = now;
      s = memory;
      result.x.push(x);
      result.g.push(g);
      result.s.push(s);
    }
    return result;
  }

  // What the formulas of a walk are fed at step t.
  function fed(taken, t) {
    const move = t > 0 ? taken.x[t].map((x, i) => x - taken.x[t - 1][i]) : undefined;
    return [t, taken.x[t], taken.g[t - 1], move, taken.s[t - 1]];
  }

  function curve(formula, part, steps, c, taken) {
    const points = {x: [], y: []};
    for (let t = part.first; t <= steps; t++) {
      const [u, v] = taken ? formula(c, ...fed(taken, t)) : formula(c, t);
      points.x.push(u);
      points.y.push(v);
    }
    return points;
  }

  // Everything that a figure draws, for the values c of its controls.
  function compute(functions, figure, c) {
    const walks = figure.walks.map((spec, i) => walk(functions.walks[i], spec, c));
    const curves = [];
    for (const panel of figure.panels) {
      for (const part of panel.curves || []) {
        const taken = part.walk === null ? null : walks[part.walk];
        const steps = taken ? figure.walks[part.walk].steps : panel.steps;
        curves.push(curve(functions.curves[curves.length], part, steps, c, taken));
      }
    }
    const readout = figure.readout.map((said, i) => {
      const taken = said.walk === null ? null : walks[said.walk];
      const end = taken ? taken.g.length : 0;
      const values = taken
        ? functions.readout[i](c, ...fed(taken, end)) : functions.readout[i](c, 0);
      let next = 0;
      return said.template.replace(/\{\}/g, () => short(values[next++]));
    });
    return {walks, curves, readout};
  }

  function short(value) {
    const size = Math.abs(value);
    if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value < 0 ? "−∞" : "∞";
    const text = size !== 0 && (size < 1e-4 || size >= 1e5)
      ? value.toExponential(2) : String(Number(value.toPrecision(3)));
    return text.replace("e+", "e").replace(/-/g, "−");
  }

  const shown = (v) => (Math.abs(v) < FAR ? v : NaN);

  // The band of each value: bands are even in the square root of the height above the floor.
  function bands(value, nx, floor, count) {
    let low = Infinity, high = -Infinity;
    for (const v of value) {
      if (v < low) low = v;
      if (v > high) high = v;
    }
    if (floor !== null) low = floor;
    const scale = count / Math.sqrt(Math.max(high - low, 1e-300));
    const band = value.map((v) =>
      Math.min(Math.floor(Math.sqrt(Math.max(v - low, 0)) * scale), count - 1));
    // A line runs where a band meets the next one.
    return band.map((b, k) =>
      ((k + 1) % nx && b !== band[k + 1]) || (k + nx < band.length && b !== band[k + nx])
        ? count : b);
  }

  function grid(count, low, high) {
    return Array.from({length: count}, (_, i) => low + (high - low) * i / (count - 1));
  }

  class Figure {
    constructor(element, payload) {
      this.element = element;
      this.payload = payload;
      this.spec = payload.figure;
      this.fields = this.spec.controls.map((control) =>
        element.querySelector(`[name="${control.name}"]`));
      this.form = element.querySelector("form");
      this.readout = element.querySelector(".explorable-readout");
      this.waiting = false;
    }

    async embed() {
      const {payload, element} = this;
      element.querySelector(".explorable-live").hidden = false;
      this.form.hidden = false;
      const item = {docid: "figure", roots: payload.roots, root_ids: Object.keys(payload.roots)};
      const [views] = await root.Bokeh.embed.embed_items({figure: payload.document}, [item]);
      const all = [...views];
      this.viewOf = item.root_ids.map((id) => all.find((view) => view.model.id === id));
      this.plots = this.viewOf.map((view) => view.model);
      const callback = this.plots[0].document.get_model_by_name("functions");
      this.functions = await callback.execute(callback);
      element.classList.add("alive");
    }

    async wake() {
      await this.embed();
      const {element} = this;
      this.form.addEventListener("input", () => this.moved());
      this.form.addEventListener("submit", (event) => event.preventDefault());
      this.form.addEventListener("reset", (event) => {
        event.preventDefault();
        this.place(Object.fromEntries(this.spec.controls.map((k) => [k.name, k.start])));
      });
      for (const pad of element.querySelectorAll(".explorable-pad")) this.listen(pad);
      this.redraw();
    }

    // Put controls at positions; what is missing stays.
    place(positions) {
      this.spec.controls.forEach((control, i) => {
        if (!(control.name in positions)) return;
        const last = control.values.length - 1;
        this.fields[i].value = Math.min(Math.max(Math.round(positions[control.name]), 0), last);
      });
      this.moved();
    }

    position(name) {
      return Number(this.fields[this.spec.controls.findIndex((k) => k.name === name)].value);
    }

    values() {
      const c = {};
      this.spec.controls.forEach((control, i) => {
        c[control.name] = control.values[Number(this.fields[i].value)];
      });
      return c;
    }

    // The first of many events between two frames is answered at once, so that Bokeh paints in the
    // very next frame; the others are answered together.
    moved() {
      this.late = this.waiting;
      if (this.waiting) return;
      this.waiting = true;
      this.redraw();
      requestAnimationFrame(() => {
        this.waiting = false;
        if (this.late) this.moved();
      });
    }

    redraw() {
      this.spec.controls.forEach((control, i) => {
        const field = this.fields[i];
        if (field.type !== "range") return;
        const text = control.texts[Number(field.value)];
        field.setAttribute("aria-valuetext", text);
        field.nextElementSibling.textContent = text;
      });
      const c = this.values();
      const drawn = compute(this.functions, this.spec, c);
      this.drawn = drawn;
      let curves = 0, levels = 0, maps = 0;
      this.spec.panels.forEach((panel, i) => {
        const sources = this.sources(i);
        if (panel.kind === "curves") {
          const points = panel.curves.map(() => drawn.curves[curves++]);
          this.fit(panel, this.plots[i], points);
          points.forEach((p, k) => {
            sources[k].data = {x: p.x.map(shown), y: p.y.map(shown)};
          });
          return;
        }
        if (panel.kind === "plane") {
          this.level(panel, sources.shift(), this.functions.levels[levels++], c);
          panel.walks.forEach((w, k) => {
            const path = drawn.walks[w].x;
            sources[k].data = {x: path.map((p) => shown(p[0])), y: path.map((p) => shown(p[1]))};
          });
          const spot = sources[sources.length - 1];
          const first = panel.walks.length ? drawn.walks[panel.walks[0]].x[0] : null;
          if (first) spot.data = {x: [first[0]], y: [first[1]]};
          return;
        }
        this.map(panel, sources.shift(), this.functions.maps[maps++], c);
        sources[0].data = {x: [c[panel.start[0]]], y: [c[panel.start[1]]]};
      });
      this.readout.textContent = drawn.readout.join(" ");
    }

    sources(i) {
      return this.plots[i].renderers.map((r) => r.data_source)
        .filter((s, k, all) => s.name && all.indexOf(s) === k);
    }

    level(panel, source, formula, c) {
      if (panel.fixed && source.data.x.length) return;
      const [[x0, x1], [y0, y1]] = panel.view, [nx, ny] = panel.grid;
      const xs = grid(nx, x0, x1), ys = grid(ny, y0, y1);
      const value = [];
      for (const y of ys) for (const x of xs) value.push(formula(c, [x, y])[0]);
      const band = bands(value, nx, panel.floor, 15);
      this.show(source, band, nx, ny, x0, x1, y0, y1);
    }

    map(panel, source, formula, c) {
      const [first, second] = panel.start.map((name) =>
        this.spec.controls.find((k) => k.name === name));
      const others = JSON.stringify({...c, [first.name]: 0, [second.name]: 0});
      if (source.tags[0] === others) return;
      source.tags = [others];
      const [nx, ny] = [240, 180];
      const along = (control, n) => {
        const ends = [control.values[0], control.values[control.values.length - 1]];
        return control.log
          ? grid(n, ...ends.map(Math.log)).map(Math.exp) : grid(n, ...ends);
      };
      const band = [];
      for (const v of along(second, ny)) {
        for (const u of along(first, nx)) {
          const [value] = formula({...c, [first.name]: u, [second.name]: v});
          band.push(Number.isNaN(value) ? NaN : panel.levels.filter((l) => value >= l).length);
        }
      }
      const ends = [first, second].flatMap((k) => [k.values[0], k.values[k.values.length - 1]]);
      this.show(source, band, nx, ny, ...ends);
    }

    show(source, band, nx, ny, x0, x1, y0, y1) {
      const {ndarray} = root.Bokeh.require("core/util/ndarray");
      const cells = ndarray(band, {dtype: "float64", shape: [ny, nx]});
      source.data = {image: [cells], x: [x0], y: [y0], dw: [x1 - x0], dh: [y1 - y0]};
    }

    // Let free axes follow what is drawn.
    fit(panel, plot, points) {
      for (const axis of ["x", "y"]) {
        if (panel[axis]) continue;
        const log = panel.log.includes(axis);
        let low = Infinity, high = -Infinity;
        for (const p of points) {
          for (const v of p[axis]) {
            if (!(Math.abs(v) < FAR) || (log && v <= 0)) continue;
            if (v < low) low = v;
            if (v > high) high = v;
          }
        }
        if (low > high) [low, high] = log ? [0.1, 1] : [0, 1];
        if (low === high) [low, high] = log ? [low / 2, high * 2] : [low - 0.5, high + 0.5];
        const pad = axis === "x" ? 0 : 0.05;
        const range = plot[`${axis}_range`];
        if (log) {
          const grow = (high / low) ** pad;
          range.setv({start: low / grow, end: high * grow});
        } else {
          range.setv({start: low - pad * (high - low), end: high + pad * (high - low)});
        }
      }
    }

    // A panel whose point the reader moves: by pointer, or by arrow keys.
    listen(pad) {
      const index = Number(pad.dataset.panel);
      const names = this.spec.panels[index].start;
      const controls = names.map((name) => this.spec.controls.find((k) => k.name === name));
      const nearest = (control, value) => {
        const ruler = control.log ? Math.log : Number;
        let best = 0;
        control.values.forEach((v, i) => {
          if (Math.abs(ruler(v) - ruler(value)) < Math.abs(ruler(control.values[best]) - ruler(value)))
            best = i;
        });
        return best;
      };
      const choose = (event) => {
        const view = this.viewOf[index];
        const box = view.el.getBoundingClientRect();
        const {x_scale, y_scale} = view.frame;
        const x = x_scale.invert(event.clientX - box.left);
        const y = y_scale.invert(event.clientY - box.top);
        this.place({[names[0]]: nearest(controls[0], x), [names[1]]: nearest(controls[1], y)});
      };
      pad.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        pad.setPointerCapture(event.pointerId);
        choose(event);
      });
      pad.addEventListener("pointermove", (event) => {
        if (pad.hasPointerCapture(event.pointerId)) choose(event);
      });
      pad.addEventListener("keydown", (event) => {
        const step = event.shiftKey ? 10 : 1;
        const move = {
          ArrowLeft: [0, -step], ArrowRight: [0, step], ArrowDown: [1, -step], ArrowUp: [1, step],
        }[event.key];
        if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        this.place({[names[move[0]]]: this.position(names[move[0]]) + move[1]});
      });
    }
  }

  // A figure wakes when it comes near the window, so that a page opens at once.
  function wakeAll() {
    const figures = new Map();
    for (const element of document.querySelectorAll("figure.explorable")) {
      const data = element.querySelector("script.explorable-data");
      figures.set(element, new Figure(element, JSON.parse(data.textContent)));
    }
    const watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        watcher.unobserve(entry.target);
        figures.get(entry.target).wake();
      }
    }, {rootMargin: "400px"});
    for (const element of figures.keys()) watcher.observe(element);
    root.Bokeh.set_log_level("warn");
    root.SecondMoments.figures = figures;
  }

  root.SecondMoments = {uniform, normal, walk, compute, short, shown, Figure};
  if (typeof document !== "undefined" && root.Bokeh) {
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", wakeAll);
    else wakeAll();
  }
})(typeof window === "undefined" ? globalThis : window);
