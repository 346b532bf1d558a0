"""The style and the scripts of a model's report: cards, strips, a map and a heat map with buttons.

What the scripts draw is in the page as JSON, once; buttons recolour it. The map is drawn by WebGL,
as it has thousands of points, and as SVG where a browser has none.
"""

import json
from typing import Any

STYLE = """
body { max-width: 66rem }
.tiles, .cards, .curves { display: grid; gap: .8rem; margin: .8rem 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)) }
.tiles { grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)) }
.tile, .card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: .7rem .9rem; min-width: 0 }
.tile b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums }
.tile span, .card small { color: var(--soft); font-size: .85rem; overflow-wrap: anywhere }
.curves > div { min-width: 0 } .curves h3 { font-size: .95rem; margin: .4rem 0 0 }
.card { border-top: 4px solid var(--hue, var(--line)) }
.card h3 { margin: 0 0 .2rem; font-size: 1.05rem; overflow-wrap: anywhere }
.card ol { margin: .4rem 0 0; padding-left: 1.3rem; font-size: .9rem }
.card li { overflow-wrap: anywhere } .card li small, .step small { white-space: nowrap }
.bar { height: .5rem; border-radius: .25rem; background: var(--line); margin: .15rem 0 .35rem }
.bar i { display: block; height: 100%; border-radius: .25rem; background: var(--hue) }
.chips { display: flex; flex-wrap: wrap; gap: .4rem; margin: .6rem 0 }
.chips button, nav a { font: inherit; font-size: .85rem; color: var(--ink); cursor: pointer;
  background: var(--card); border: 1px solid var(--line); border-radius: 1rem;
  padding: .25rem .75rem; text-decoration: none; max-width: 100%; text-align: left }
.chips button[aria-pressed=true] { border-color: var(--ink);
  box-shadow: inset 0 0 0 1px var(--ink) }
.chips i { display: inline-block; width: .7rem; height: .7rem; border-radius: 50%;
  margin-right: .4rem }
.plot { min-height: 340px } #heat { max-width: 46rem }
.strip { margin: 1.4rem 0; border-left: 4px solid var(--hue); padding-left: .8rem }
.strip h3 { margin: 0; font-size: 1rem; overflow-wrap: anywhere }
.strip ol { list-style: none; display: flex; gap: .5rem; margin: .5rem 0 0; padding: 0 }
.step { flex: 1 1 0; min-width: 0; background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem; padding: .45rem .6rem; font-size: .85rem; line-height: 1.35;
  overflow-wrap: anywhere }
.step b { display: block; font-variant-numeric: tabular-nums }
.step small { color: var(--soft); display: block }
.step .bar { height: .3rem }
@media (max-width: 44rem) {
  .strip ol { flex-direction: column; gap: .3rem }
  .step { display: grid; grid-template-columns: 3.4rem 1fr; align-items: baseline }
  .step .bar { grid-row: 2; grid-column: 1; margin-right: .6rem } .step small { grid-column: 2 }
  .tiles { grid-template-columns: 1fr 1fr; gap: .5rem }
}
nav { display: flex; flex-wrap: wrap; gap: .4rem; margin: .8rem 0 }
"""

_SHARED = """
const esc = text => String(text).replace(/&/g, '&amp;').replace(/</g, '&lt;');
const told = id => JSON.parse(document.getElementById(id).textContent);
const bare = { paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', showlegend: false,
  hoverlabel: { bgcolor: '#2b3440', font: { size: 14, color: '#fff' } },
  font: { size: 13, family: 'system-ui, sans-serif' } };
const config = { displayModeBar: false, responsive: true };
const button = (box, name, colour, click) => {
  const made = document.createElement('button');
  if (colour) made.appendChild(document.createElement('i')).style.background = colour;
  made.append(name);
  made.setAttribute('aria-pressed', 'false');
  made.onclick = () => click(made);
  return box.appendChild(made);
};
const press = (box, one) => [...box.children].forEach(
  other => other.setAttribute('aria-pressed', String(other === one)));
"""

_MAP = """
{
  const data = told('map-data'), plot = document.getElementById('map');
  const [views, legend] = ['map-views', 'map-legend'].map(id => document.getElementById(id));
  const gl = document.createElement('canvas').getContext('webgl');
  const faint = 'rgba(139,147,161,.14)', none = '#8b93a1';
  let view = data.views[0], chosen = null;
  const groups = () => view.by === 'label' ? data.labels : data.concepts;
  const paint = side => side[view.by].map(n =>
    chosen !== null && n !== chosen ? faint : n < 0 ? none : groups()[n].colour);
  const words = side => side.title.map((title, n) => esc(title) + [data.concepts, data.labels].map(
    (known, which) => {
      const group = known[(which ? side.label : side.concept)[n]];
      return group ? '<br>' + esc(group.name) : '';
    }).join(''));
  const points = (side, size, opacity) => ({ type: gl ? 'scattergl' : 'scatter', mode: 'markers',
    x: side.x, y: side.y, text: words(side), hovertemplate: '%{text}<extra></extra>',
    marker: { size, opacity, color: paint(side), line: { width: 0 } } });
  const axis = { visible: false, zeroline: false, showgrid: false };
  const fine = matchMedia('(pointer: fine)').matches;
  Plotly.newPlot(plot, [points(data.people, 4, .45), points(data.items, 6, .9)], { ...bare,
    height: Math.max(340, Math.min(680, plot.clientWidth * .8)), margin: { l: 0, r: 0, t: 0, b: 0 },
    dragmode: fine ? 'zoom' : false, hovermode: 'closest',
    xaxis: { ...axis, fixedrange: !fine }, yaxis: { ...axis, fixedrange: !fine, scaleanchor: 'x' },
  }, config);
  const show = () => {
    const colours = [data.people, data.items].map(paint);
    Plotly.restyle(plot, { 'marker.color': colours, visible: [view.people, view.items] }, [0, 1]);
  };
  const list = () => {
    legend.replaceChildren();
    groups().forEach((group, n) => button(legend, group.name, group.colour, made => {
      chosen = chosen === n ? null : n;
      press(legend, chosen === null ? null : made);
      show();
    }));
  };
  data.views.forEach(one => button(views, one.name, null, made => {
    [view, chosen] = [one, null];
    press(views, made);
    list();
    show();
  }));
  views.firstChild.click();
}
"""

_HEAT = """
{
  const data = told('heat-data'), plot = document.getElementById('heat');
  const views = document.getElementById('heat-views'), said = document.getElementById('heat-said');
  data.forEach(one => button(views, one.of, null, made => {
    press(views, made);
    said.textContent = one.said;
    const z = one.z.map(row => row.map(value => value === null ? null : value / 100));
    Plotly.react(plot, [{ type: 'heatmap', z, x: one.dims, y: one.dims, zmin: -one.most,
      zmax: one.most, xgap: 0, ygap: 0, hoverongaps: false,
      colorscale: [[0, '#e8890c'], [.5, 'rgba(139,147,161,.06)'], [1, '#3b82f6']],
      colorbar: { thickness: 12, tickfont: { size: 12 }, tickformat: '.2f', nticks: 5 },
      hovertemplate: 'dimensions %{y} and %{x}: %{z:.2f}<extra></extra>' }], { ...bare,
      height: Math.max(320, Math.min(600, plot.clientWidth * .85)), dragmode: false,
      margin: { l: 44, r: 10, t: 10, b: 44 },
      xaxis: { title: { text: 'dimension' }, type: 'category', nticks: 8, showgrid: false,
        fixedrange: true },
      yaxis: { title: { text: 'dimension' }, type: 'category', nticks: 8, showgrid: false,
        autorange: 'reversed', fixedrange: true } }, config);
  }));
  views.firstChild.click();
}
"""


def scripts(*, has_map: bool, has_heat: bool) -> str:
    """What a page needs that has these figures."""
    return _SHARED + _MAP * has_map + _HEAT * has_heat


def data_script(name: str, content: Any) -> str:
    """JSON in a page, which no text in it can end.

    Example:
        >>> data_script("data", ["</script>"]).count("</script>")
        1
    """
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    inside = text.replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{inside}</script>'
