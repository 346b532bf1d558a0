// What the page does by itself: light and dark, keys in the search, the focus, the link.
(() => {
  const root = document.documentElement, kept = localStorage.getItem("macrid-theme");
  if (kept) root.dataset.theme = kept;
  const dark = () => root.dataset.theme
    ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const acts = {
    theme() {
      root.dataset.theme = dark() ? "light" : "dark";
      localStorage.setItem("macrid-theme", root.dataset.theme);
    },
    async link(button) {
      const words = button.textContent;
      try {
        await navigator.clipboard.writeText(location.href);
        button.textContent = "link copied";
      } catch {
        button.textContent = "copy it from the address bar";
      }
      setTimeout(() => (button.textContent = words), 2000);
    },
  };
  addEventListener("click", (e) => {
    const button = e.target.closest?.("[data-act]");
    if (button) acts[button.dataset.act](button);
  });

  // A slider shows where it is before anybody has answered.
  addEventListener("input", (e) => {
    const { dataset, min, max, value, parentElement, style } = e.target;
    if (!dataset.on || e.target.type !== "range") return;
    style.setProperty("--at", `${(100 * (value - min)) / (max - min)}%`);
    const told = parentElement.querySelector("output");
    if (told) told.textContent = Number(value) ? `×${Number(value)}` : "off";
  });

  // Down and up go through what was found; Enter in the search takes the first.
  addEventListener("keydown", (e) => {
    const search = document.getElementById("search");
    const found = [...document.querySelectorAll(".results button")];
    const at = found.indexOf(e.target);
    if (e.target !== search && at < 0) return;
    const to = { ArrowDown: at + 1, ArrowUp: at - 1 }[e.key];
    if (to !== undefined) {
      e.preventDefault();
      (to < 0 ? search : found[to])?.focus();
    } else if (e.key === "Enter" && e.target === search) found[0]?.click();
    else if (e.key === "Escape" && search.value) {
      search.value = "";
      search.dispatchEvent(new Event("input", { bubbles: true }));
      search.focus();
    }
  });

  // Parts of the page are drawn anew; whoever had the focus in one has it again.
  let last = null;
  addEventListener("focusin", (e) => {
    const part = e.target.closest("[data-part]");
    last = e.target.id ? { id: e.target.id, part: part?.dataset.part } : null;
  });
  addEventListener("pointerdown", () => (last = null), true);
  new MutationObserver(() => {
    if (!last || document.activeElement !== document.body) return;
    const again = document.getElementById(last.id)
      ?? document.querySelector(`[data-part="${last.part}"] :is(button, input)`);
    again?.focus({ preventScroll: true });
  }).observe(root, { childList: true, subtree: true });
})();
