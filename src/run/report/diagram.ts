/** Boxes with arrows between them, and one arrow back, as SVG: across on a wide page, downward on a narrow one. */

import { px } from './axes.ts';
import { escaped } from './html.ts';

/** A section with a picture of how something works. */
export interface Diagram {
  /** Tells this section from the others. */
  kind: 'diagram';
  /** Heading. */
  title: string;
  /** Plain text below the picture. */
  caption?: string;
  /** Rows of boxes. */
  lanes: readonly DiagramLane[];
}

/** A row of boxes, with an arrow from each to the next. */
export interface DiagramLane {
  /** Its heading. */
  name: string;
  /** The boxes in order. */
  boxes: readonly DiagramBox[];
  /** An arrow from the last box back to one of them, by its index. */
  back?: { to: number; label: string };
}

/** A box of a diagram. */
export interface DiagramBox {
  /** What it is, in a word or two. */
  label: string;
  /** More about it, in small type. */
  note?: string;
  /** Text on the arrow to it. */
  arrow?: string;
  /** heed's two cards: a pair, or a pair of which one is chosen. */
  icon?: 'pair' | 'choice';
  /** Whether the diagram is about it. */
  isMain?: boolean;
}

const ACROSS = 800;
const NAME = 30;
/** Space between lanes. */
const BELOW = 26;
const LINE = 16;
const PADDING = 14;
/** Widths of a character: the page has no fonts of its own, and a server cannot measure. */
const CHARACTER = { note: 6.3, arrow: 6.6 };

interface Placed extends DiagramBox {
  x: number;
  y: number;
  width: number;
  height: number;
  lines: string[];
}

/** The drawing of a diagram for a width. */
export function drawDiagram(diagram: Diagram, width: number): string {
  let y = 0;
  const lanes = diagram.lanes.map((lane) => {
    const drawn = width >= ACROSS ? across(lane, width, y) : downward(lane, width, y);
    y = drawn.end;
    return drawn.svg;
  });
  y -= BELOW;
  const label = `${diagram.title}. ${diagram.lanes.map(inWords).join(' ')}`;
  return `<svg class="plot diagram w${width}" viewBox="0 0 ${width} ${px(y)}" role="img" aria-label="${escaped(label)}">${lanes.join('')}</svg>`;
}

const inWords = ({ name, boxes, back }: DiagramLane): string => {
  const steps = boxes.map(
    ({ label, note, arrow }) => `${arrow ? `by ${arrow} ` : ''}${label}${note ? ` (${note})` : ''}`,
  );
  return `${name}: ${steps.join(', then ')}${back ? `, then by ${back.label} back to ${boxes[back.to].label}` : ''}.`;
};

const heading = (name: string, y: number) => `<text class="lane" x="0" y="${px(y + 16)}">${escaped(name)}</text>`;

/** Height of a box, the same for all of a lane. */
const heightOf = (lines: number) => 2 * PADDING + 18 + LINE * lines;

function across({ name, boxes, back }: DiagramLane, width: number, top: number) {
  const arrows = Math.max(0, ...boxes.map(({ arrow = '' }) => arrow.length));
  const gap = Math.min(110, Math.max(46, arrows * CHARACTER.arrow + 22));
  const size = Math.min(230, (width - 2 - (boxes.length - 1) * gap) / boxes.length);
  const wrappedNotes = boxes.map(({ note = '' }) => wrapped(note, (size - 2 * PADDING) / CHARACTER.note));
  const height = heightOf(Math.max(...wrappedNotes.map((lines) => lines.length)));
  const y = top + NAME;
  const placed = boxes.map((box, i): Placed => {
    return { ...box, x: 1 + i * (size + gap), y, width: size, height, lines: wrappedNotes[i] };
  });
  const middle = y + height / 2;
  const between = placed.slice(1).map((box) => {
    const name = box.arrow && shortened(box.arrow, (gap - 4) / CHARACTER.arrow);
    const text = name && arrowText(name, box.x - gap / 2, middle - 8);
    return `${arrow(`M${px(box.x - gap + 4)} ${px(middle)}H${px(box.x - 6)}`, box.x - 3, middle, 'right')}${text ?? ''}`;
  });
  const bottom = y + height;
  if (!back) return { svg: [heading(name, top), ...placed.map(drawBox), ...between].join(''), end: bottom + BELOW };
  const [from, to] = [placed.at(-1)!, placed[back.to]].map((box) => box.x + box.width / 2);
  const path = `M${px(from)} ${px(bottom + 3)}v18a8 8 0 0 1 -8 8H${px(to + 8)}a8 8 0 0 1 -8 -8V${px(bottom + 7)}`;
  const home = `${arrow(path, to, bottom + 3, 'up')}${arrowText(back.label, (from + to) / 2, bottom + 33)}`;
  return { svg: [heading(name, top), ...placed.map(drawBox), ...between, home].join(''), end: bottom + 36 + BELOW };
}

/** Room at the right for the arrow back. */
const ASIDE = 44;
const DOWN = 34;

function downward({ name, boxes, back }: DiagramLane, width: number, top: number) {
  const size = Math.min(380, width - ASIDE - 2);
  let y = top + NAME;
  const placed = boxes.map((box): Placed => {
    const lines = wrapped(box.note ?? '', (size - 2 * PADDING) / CHARACTER.note);
    const height = heightOf(lines.length);
    const at: Placed = { ...box, x: 1, y, width: size, height, lines };
    y += height + DOWN;
    return at;
  });
  const x = 1 + size / 2;
  const between = placed.slice(1).map((box) => {
    const text = box.arrow
      ? `<text class="step" x="${px(x + 12)}" y="${px(box.y - DOWN / 2 + 4)}">${escaped(box.arrow)}</text>`
      : '';
    return `${arrow(`M${px(x)} ${px(box.y - DOWN + 4)}V${px(box.y - 7)}`, x, box.y - 3, 'down')}${text}`;
  });
  const end = y - DOWN + BELOW;
  if (!back) return { svg: [heading(name, top), ...placed.map(drawBox), ...between].join(''), end };
  const [from, to] = [placed.at(-1)!, placed[back.to]].map((box) => box.y + box.height / 2);
  const side = 1 + size;
  const path = `M${px(side + 3)} ${px(from)}h13a8 8 0 0 0 8 -8V${px(to + 8)}a8 8 0 0 0 -8 -8H${px(side + 7)}`;
  const [labelX, labelY] = [side + 28, (from + to) / 2].map(px);
  const label = `<text class="step middle" x="${labelX}" y="${labelY}" transform="rotate(-90 ${labelX} ${labelY})">${escaped(back.label)}</text>`;
  return {
    svg: [heading(name, top), ...placed.map(drawBox), ...between, arrow(path, side + 3, to, 'left'), label].join(''),
    end,
  };
}

function drawBox({ label, lines, icon, isMain, x, y, width, height }: Placed): string {
  const text = `<text class="box-label" x="${px(x + PADDING)}" y="${px(y + PADDING + 14)}">${escaped(label)}</text>`;
  const notes = lines.map(
    (line, i) => `<text x="${px(x + PADDING)}" y="${px(y + PADDING + 32 + i * LINE)}">${escaped(line)}</text>`,
  );
  const cards = icon ? drawCards(icon, x + width - PADDING - 23, y + PADDING) : '';
  return `<rect class="box${isMain ? ' main' : ''}" x="${px(x)}" y="${px(y + 1)}" width="${px(width)}" height="${px(height - 2)}" rx="10"/>${text}${notes.join('')}${cards}`;
}

const drawCards = (icon: 'pair' | 'choice', x: number, y: number): string =>
  [0, 1]
    .map((i) => {
      const isChosen = icon === 'choice' && i === 0;
      return `<rect class="card s${i}${isChosen ? ' chosen' : ''}" x="${px(x + 13 * i)}" y="${px(y)}" width="10" height="14" rx="2.5"/>`;
    })
    .join('');

const HEADS = { right: 'l-7 -4v8z', up: 'l-4 7h8z', down: 'l-4 -7h8z', left: 'l7 -4v8z' };

const arrow = (path: string, x: number, y: number, direction: keyof typeof HEADS): string =>
  `<path class="arrow" d="${path}"/><path class="head" d="M${px(x)} ${px(y)}${HEADS[direction]}"/>`;

const arrowText = (text: string, x: number, y: number): string =>
  `<text class="step middle" x="${px(x)}" y="${px(y)}">${escaped(text)}</text>`;

/** A text of at most about so many characters; the picture's label has all of it. */
const shortened = (text: string, characters: number): string =>
  text.length <= characters ? text : `${text.slice(0, Math.max(1, Math.floor(characters) - 1))}…`;

/** A text in lines of about so many characters. */
function wrapped(text: string, characters: number): string[] {
  const lines: string[] = [];
  const most = Math.max(1, Math.floor(characters));
  // a word that is too long, such as the name of a file, is broken
  const words = text.split(' ').flatMap((word) => word.match(new RegExp(`.{1,${most}}`, 'gsu')) ?? []);
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= most) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
