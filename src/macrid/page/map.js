// Every item on a plane, on one canvas: moved, zoomed, pointed at, clicked, or gone over by keys.
// The host page hears `add` with an item's id; `show` says who stands where.
const GREY = "#8b93a1";

export default {
  template: `
    <div class="map">
      <div class="plane">
        <canvas ref="canvas" tabindex="0" role="img" aria-describedby="map-keys"
          aria-label="map of all items"></canvas>
        <p ref="tip" class="tip" aria-live="polite" hidden></p>
        <p v-if="said" class="empty">{{ said }}</p>
        <div class="zoom" v-if="!said">
          <button type="button" aria-label="zoom in" @click="zoom(1.5)">+</button>
          <button type="button" aria-label="zoom out" @click="zoom(1 / 1.5)">−</button>
          <button type="button" aria-label="show all" @click="whole">◻</button>
        </div>
      </div>
      <div class="chips legend">
        <button v-for="one in legend" :key="one.concept" type="button"
          :aria-pressed="String(chosen === one.concept)" @click="choose(one.concept)">
          <i :style="{ background: one.colour }"></i>{{ one.name }}
        </button>
      </div>
    </div>`,
  props: { address: String },
  data: () => ({ said: "The map is being drawn …", legend: [], chosen: null }),
  mounted() {
    // Plain fields: 20,000 points need no watching.
    Object.assign(this, { points: null, people: { had: [], listed: [], spots: [] } });
    Object.assign(this, { x: 0, y: 0, scale: 1, pointers: new Map(), moved: 0 });
    const canvas = this.$refs.canvas;
    const on = (name, call, options) => canvas.addEventListener(name, call, options);
    on("pointerdown", this.down);
    on("pointermove", this.move);
    on("pointerup", this.up);
    on("pointercancel", (e) => this.pointers.delete(e.pointerId));
    on("pointerleave", () => this.tell(-1));
    on("wheel", this.wheel, { passive: false });
    on("keydown", this.key);
    for (const name of ["focus", "blur"]) on(name, this.draw);
    this.seen = false; // out of sight, nothing is drawn
    const sight = new IntersectionObserver(([one]) => (this.seen = one.isIntersecting) && this.draw());
    sight.observe(canvas);
    this.watched = [new ResizeObserver(this.draw), new MutationObserver(this.draw), sight];
    this.watched[0].observe(canvas);
    this.watched[1].observe(document.documentElement, { attributes: true });
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.dark.addEventListener("change", this.draw);
    this.load();
  },
  unmounted() {
    this.watched.forEach((one) => one.disconnect());
    this.dark.removeEventListener("change", this.draw);
    clearTimeout(this.later);
  },
  methods: {
    async load() {
      try {
        const answer = await fetch(this.address);
        const said = await answer.json();
        if (answer.status === 200) return this.take(said);
        this.said = said.detail;
        const wait = Number(answer.headers.get("retry-after"));
        if (!wait) return;
        this.said = "The map is being drawn, once for each model …";
        this.later = setTimeout(this.load, 1000 * wait);
      } catch {
        this.said = "The map cannot be fetched.";
        this.later = setTimeout(this.load, 5000);
      }
    },
    take({ item_id, title, x, y, concept }) {
      const ids = item_id.map(String), groups = new Map();
      concept.forEach((k, n) => groups.get(k)?.push(n) ?? groups.set(k, [n]));
      this.points = { ids, title: title || ids, concept, groups,
        x: Float32Array.from(x), y: Float32Array.from(y), rows: new Map(ids.map((id, n) => [id, n])) };
      this.said = "";
      this.draw();
    },
    show(people) {
      this.people = people;
      this.legend = people.concepts;
      this.draw();
    },
    choose(concept) {
      this.chosen = this.chosen === concept ? null : concept;
      this.draw();
    },
    colour(concept) {
      return this.legend.find((one) => one.concept === concept)?.colour ?? GREY;
    },
    draw() {
      cancelAnimationFrame(this.frame);
      this.frame = requestAnimationFrame(this.paint);
    },
    paint() {
      const canvas = this.$refs.canvas;
      if (!canvas || !this.points || !this.seen) return;
      const started = performance.now(), ratio = devicePixelRatio || 1;
      const [wide, high] = [canvas.clientWidth, canvas.clientHeight];
      if (canvas.width !== Math.round(wide * ratio)) canvas.width = Math.round(wide * ratio);
      if (canvas.height !== Math.round(high * ratio)) canvas.height = Math.round(high * ratio);
      const g = canvas.getContext("2d"), style = getComputedStyle(canvas);
      g.setTransform(ratio, 0, 0, ratio, 0, 0);
      g.clearRect(0, 0, wide, high);
      const { x, y, groups } = this.points;
      const r = Math.min(5, Math.max(1.1, 55 / Math.sqrt(x.length)) * Math.sqrt(this.scale));
      const [k, left, top] = this.frameOf();
      for (const [concept, rows] of groups) {
        g.fillStyle = this.colour(concept);
        g.globalAlpha = this.chosen === null ? 0.75 : this.chosen === concept ? 0.95 : 0.08;
        for (const n of rows) {
          const px = x[n] * k + left, py = y[n] * k + top;
          if (px > -r && py > -r && px < wide + r && py < high + r) g.fillRect(px - r, py - r, 2 * r, 2 * r);
        }
      }
      g.globalAlpha = 1;
      const ink = style.getPropertyValue("--ink"), paper = style.getPropertyValue("--paper");
      const ring = (px, py, size, fill, line, width) => {
        g.beginPath();
        g.arc(px, py, size, 0, 7);
        g.fillStyle = fill;
        g.fill();
        g.lineWidth = width;
        g.strokeStyle = line;
        g.stroke();
      };
      const each = (ids, call) => ids.forEach((id) => {
        const n = this.points.rows.get(id);
        if (n !== undefined) call(x[n] * k + left, y[n] * k + top, n);
      });
      each(this.people.listed, (px, py) => ring(px, py, 5, "transparent", ink, 1.5));
      each(this.people.had, (px, py, n) => ring(px, py, 6, this.colour(this.points.concept[n]), ink, 2.5));
      g.font = "600 13px system-ui, sans-serif";
      for (const spot of this.people.spots.filter((one) => one.confidence >= 0.03)) {
        const size = 8 + 14 * Math.sqrt(spot.confidence);
        const [px, py] = [spot.x * k + left, spot.y * k + top];
        g.globalAlpha = 0.35;
        ring(px, py, size, this.colour(spot.concept), "transparent", 0);
        g.globalAlpha = 1;
        ring(px, py, size, "transparent", this.colour(spot.concept), 3);
        const words = `you: ${spot.name}`;
        g.lineWidth = 4;
        g.strokeStyle = paper;
        g.strokeText(words, px + size + 4, py + 4);
        g.fillStyle = ink;
        g.fillText(words, px + size + 4, py + 4);
      }
      if (canvas.matches(":focus-visible")) {
        g.lineWidth = 1.5;
        g.strokeStyle = ink;
        g.strokeRect(wide / 2 - 9, high / 2 - 9, 18, 18);
      }
      canvas.dataset.points = x.length;
      canvas.dataset.ms = (performance.now() - started).toFixed(1);
    },
    frameOf() {
      const canvas = this.$refs.canvas;
      const [wide, high] = [canvas.clientWidth, canvas.clientHeight];
      const k = 0.47 * Math.min(wide, high) * this.scale;
      return [k, wide / 2 - this.x * k, high / 2 - this.y * k];
    },
    nearest(px, py, within) {
      if (!this.points) return -1;
      const { x, y, concept } = this.points, [k, left, top] = this.frameOf();
      let best = within * within, found = -1;
      for (let n = 0; n < x.length; n++) {
        const dx = x[n] * k + left - px, dy = y[n] * k + top - py, far = dx * dx + dy * dy;
        if (far < best && (this.chosen === null || concept[n] === this.chosen)) [best, found] = [far, n];
      }
      return found;
    },
    tell(n) {
      const tip = this.$refs.tip;
      if (!tip) return;
      tip.hidden = n < 0;
      if (n < 0) return;
      const [k, left, top] = this.frameOf(), { x, y, title } = this.points;
      if (tip.textContent !== title[n]) tip.textContent = title[n];
      const wide = this.$refs.canvas.clientWidth, px = x[n] * k + left;
      tip.style.left = `${Math.min(Math.max(px, 90), wide - 90)}px`;
      tip.style.top = `${y[n] * k + top}px`;
    },
    shift(dx, dy) {
      const [k] = this.frameOf();
      this.x = Math.min(1, Math.max(-1, this.x - dx / k));
      this.y = Math.min(1, Math.max(-1, this.y - dy / k));
      this.draw();
    },
    zoom(factor, px, py) {
      const canvas = this.$refs.canvas, [k, left, top] = this.frameOf();
      const [cx, cy] = [px ?? canvas.clientWidth / 2, py ?? canvas.clientHeight / 2];
      const scale = Math.min(40, Math.max(1, this.scale * factor)), by = scale / this.scale;
      this.x += ((cx - canvas.clientWidth / 2) / k) * (1 - 1 / by);
      this.y += ((cy - canvas.clientHeight / 2) / k) * (1 - 1 / by);
      this.scale = scale;
      this.draw();
    },
    whole() {
      Object.assign(this, { x: 0, y: 0, scale: 1 });
      this.draw();
    },
    down(e) {
      this.pointers.set(e.pointerId, [e.offsetX, e.offsetY]);
      this.$refs.canvas.setPointerCapture(e.pointerId);
      this.moved = this.pointers.size > 1 ? 99 : 0;
    },
    move(e) {
      const before = this.pointers.get(e.pointerId), now = [e.offsetX, e.offsetY];
      if (!before) return this.tell(this.nearest(...now, 12));
      const other = [...this.pointers].find(([id]) => id !== e.pointerId)?.[1];
      const apart = (one) => Math.hypot(one[0] - other[0], one[1] - other[1]) || 1;
      if (other) this.zoom(apart(now) / apart(before), ...other);
      else this.shift(now[0] - before[0], now[1] - before[1]);
      this.moved += Math.abs(now[0] - before[0]) + Math.abs(now[1] - before[1]);
      this.pointers.set(e.pointerId, now);
    },
    up(e) {
      this.pointers.delete(e.pointerId);
      if (this.moved < 5) this.add(this.nearest(e.offsetX, e.offsetY, e.pointerType === "touch" ? 24 : 12));
    },
    add(n) {
      if (n >= 0) this.$emit("add", { id: this.points.ids[n] });
    },
    wheel(e) {
      // A page that is scrolled past the map is not caught by it.
      if (!e.ctrlKey && document.activeElement !== this.$refs.canvas) return;
      e.preventDefault();
      this.zoom(Math.exp(-e.deltaY / 300), e.offsetX, e.offsetY);
    },
    key(e) {
      const canvas = this.$refs.canvas, middle = [canvas.clientWidth / 2, canvas.clientHeight / 2];
      const ways = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] };
      if (ways[e.key]) this.shift(...ways[e.key]);
      else if (e.key === "+" || e.key === "=") this.zoom(1.4);
      else if (e.key === "-") this.zoom(1 / 1.4);
      else if (e.key === "0") this.whole();
      else if (e.key === "Enter") this.add(this.nearest(...middle, Infinity));
      else return;
      e.preventDefault();
      this.tell(this.nearest(...middle, Infinity));
    },
  },
};
