/**
 * Draws the rooms of src and their arrows from the list that `npm run arrows` checks, into
 * docs/images/diagram-architecture.svg: node scripts/diagrams.js. A test fails where the picture is not that of the list.
 *
 * A room stands above all that it imports. An arrow that others imply is left out: cli imports engine, and so does nn,
 * which cli imports too.
 */
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const WIDTH = 600;
const BOX = { width: 100, height: 40 };
const ROW = 78;
const TOP = 16;

/** What each room may import of the others, by its name. */
export function arrowsOf({ forbidden }) {
  const rules = forbidden.filter(({ name }) => /^[a-z]+-imports$/.test(name));
  return new Map(
    rules.map(({ name, to }) => {
      // patterns such as ^src/nn[./] or ^src/engine/safetensors[./], after those of itself and of the leaf files
      const rooms = to.pathNot.slice(2).map((pattern) => /^\^src\/([a-z]+)/.exec(pattern)[1]);
      return [name.replace('-imports', ''), rooms];
    }),
  );
}

/** The arrows that no others imply. */
function direct(arrows) {
  const below = (room) => new Set(arrows.get(room).flatMap((other) => [other, ...below(other)]));
  return [...arrows].flatMap(([from, rooms]) =>
    rooms.filter((to) => !rooms.some((other) => other !== to && below(other).has(to))).map((to) => ({ from, to })),
  );
}

/** Rows of rooms from the ground up, and of the places by which long arrows pass: { name, x } each. */
function layOut(arrows, edges) {
  const levels = new Map();
  const levelOf = (room) => {
    if (!levels.has(room)) levels.set(room, Math.max(-1, ...arrows.get(room).map(levelOf)) + 1);
    return levels.get(room);
  };
  // as near to those that import it as can be, which leaves few long arrows
  const rowOf = (room) => {
    const above = edges.filter(({ to }) => to === room).map(({ from }) => rowOf(from) - 1);
    return above.length ? Math.min(...above) : levelOf(room);
  };
  const height = 1 + Math.max(...[...arrows.keys()].map(rowOf));
  const rows = Array.from({ length: height }, () => []);
  for (const room of arrows.keys()) rows[rowOf(room)].push({ name: room, room: true, next: [] });
  const at = (row, name) => rows[row].find((place) => place.name === name);
  for (const { from, to } of edges) {
    const chain = [at(rowOf(from), from)];
    for (let row = rowOf(from) - 1; row > rowOf(to); row--) {
      const passed = { name: `${from}→${to}`, room: false, next: [] };
      rows[row].push(passed);
      chain.push(passed);
    }
    chain.push(at(rowOf(to), to));
    for (let i = 1; i < chain.length; i++) {
      chain[i - 1].next.push(chain[i]);
      chain[i].next.push(chain[i - 1]);
    }
  }
  for (let pass = 0; pass < 24; pass++) {
    for (const row of pass % 2 ? rows : [...rows].reverse()) {
      for (const place of row) {
        const near = place.next.filter(({ x }) => x !== undefined);
        place.wish = near.length ? near.reduce((sum, { x }) => sum + x, 0) / near.length : (place.x ?? WIDTH / 2);
      }
      row.sort((a, b) => a.wish - b.wish);
      spread(row);
    }
  }
  return rows;
}

/** Gives the places of a row their middles: near to what they wish, and none over another. */
function spread(row) {
  const widthOf = ({ room }) => (room ? BOX.width + 16 : 22);
  const total = row.reduce((sum, place) => sum + widthOf(place), 0);
  if (total > WIDTH) throw new Error(`a row of ${row.length} places is wider than ${WIDTH}`);
  let [left, rest] = [0, total];
  for (const place of row) {
    const half = widthOf(place) / 2;
    place.x = Math.round(Math.min(Math.max(place.wish, left + half), WIDTH - rest + half));
    left = place.x + half;
    rest -= 2 * half;
  }
}

/** The picture as SVG. */
export function drawArchitecture(config) {
  const arrows = arrowsOf(config);
  const rows = layOut(arrows, direct(arrows));
  const height = 2 * TOP + (rows.length - 1) * ROW + BOX.height;
  const yOf = (row) => height - TOP - BOX.height - row * ROW;
  const lines = rows.flatMap((row, i) =>
    row.filter(({ room }) => room).flatMap((place) => curvesOf(place, i, rows, yOf)),
  );
  const boxes = rows.flatMap((row, i) =>
    row
      .filter(({ room }) => room)
      .map(
        ({ name, x }) =>
          `<rect class="box" x="${x - BOX.width / 2}" y="${yOf(i)}" width="${BOX.width}" height="${BOX.height}" rx="8"/>` +
          `<text x="${x}" y="${yOf(i) + 25}">${name}</text>`,
      ),
  );
  const said = [...arrows].map(([name, rooms]) => `${name}: ${rooms.join(', ') || 'nothing'}`).join('; ');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="t d">
<title id="t">The rooms of src and what they import</title>
<desc id="d">A room stands above all that it imports. ${said}.</desc>
<style>
:root { color-scheme: light dark; --ink: #1d1c1a; --line: #918c80; --card: #fff; --accent: #0d5a68 }
@media (prefers-color-scheme: dark) { :root { --ink: #eceae4; --line: #70747d; --card: #1d1f24; --accent: #62bccb } }
text { font: 600 15px "Inter Variable", system-ui, sans-serif; fill: var(--ink); text-anchor: middle }
.box { fill: var(--card); stroke: var(--line); stroke-width: 1.5 }
.arrow { fill: none; stroke: var(--accent); stroke-width: 1.5 }
.head { fill: var(--accent) }
</style>
<defs><marker id="head" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto"><path class="head" d="M0 0 8 4 0 8z"/></marker></defs>
${[...lines, ...boxes].join('\n')}
</svg>
`;
}

/** The arrows of a room downwards: each passes by its places to a room below. */
function curvesOf(from, row, rows, yOf) {
  const below = (place, i) => place.next.filter((other) => rows[i - 1]?.includes(other));
  return below(from, row).map((first) => {
    let path = `M${from.x} ${yOf(row) + BOX.height}`;
    let [x, y] = [from.x, yOf(row) + BOX.height];
    for (let [place, i] = [first, row - 1]; ; [place, i] = [below(place, i)[0], i - 1]) {
      const bend = (yOf(i) - y) / 2;
      path += `C${x} ${y + bend} ${place.x} ${yOf(i) - bend} ${place.x} ${yOf(i)}`;
      if (place.room) return `<path class="arrow" d="${path}" marker-end="url(#head)"/>`;
      [x, y] = [place.x, yOf(i) + BOX.height];
      path += `V${y}`;
    }
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const config = createRequire(import.meta.url)('../.dependency-cruiser.cjs');
  writeFileSync(new URL('../docs/images/diagram-architecture.svg', import.meta.url), drawArchitecture(config));
}
