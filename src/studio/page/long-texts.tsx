/** Reading long texts: side by side they scroll together, words are found in all of them, and a long prompt folds. */
import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { useWords } from '../words/words.ts';

/** Characters from which a text is long: about two screens. */
const LONG = 5000;

/** Whether one of the texts is long. */
export const isLong = (texts: readonly string[]): boolean => texts.some(({ length }) => length > LONG);

/** Boxes that scroll by themselves, and together if they are tied: each to the same share of its text. */
export function LongTexts({ count, children }: { count: number; children: ComponentChildren }) {
  const words = useWords();
  const place = useRef<HTMLDivElement>(null);
  const [tied, setTied] = useState(true);
  /** The box that the reader scrolls: the others follow it, and lead none. */
  const leader = useRef<EventTarget>(undefined);
  const follow = ({ target }: Event) => {
    if (!tied || target !== leader.current || !(target instanceof HTMLElement)) return;
    const share = target.scrollTop / Math.max(1, target.scrollHeight - target.clientHeight);
    for (const box of place.current!.querySelectorAll<HTMLElement>('.option')) {
      if (box !== target) box.scrollTop = share * (box.scrollHeight - box.clientHeight);
    }
  };
  const lead = ({ target }: Event) => {
    leader.current = (target as Element).closest('.option') ?? undefined;
  };
  return (
    <div
      ref={place}
      class="long-texts"
      onScrollCapture={follow}
      onPointerOverCapture={lead}
      onTouchStartCapture={lead}
      onFocusCapture={lead}
    >
      <div class="row line">
        <Find place={place} texts={children} />
        {count > 1 && (
          <button type="button" aria-pressed={tied} onClick={() => setTied(!tied)}>
            {words.scrollTogether}
          </button>
        )}
      </div>
      {children}
    </div>
  );
}

/** The places of some words in the texts of an element, whatever their case and however they are formatted. */
function placesOf(element: Element, sought: string): Range[] {
  if (!sought) return [];
  const nodes: { node: Node; start: number; end: number }[] = [];
  let text = '';
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const start = text.length;
    text += node.textContent;
    nodes.push({ node, start, end: text.length });
  }
  const pattern = sought.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&').replace(/\s+/g, '\\s+');
  return [...text.matchAll(new RegExp(pattern, 'giu'))].map(({ 0: { length }, index }) => {
    const range = new Range();
    const first = nodes.find(({ end }) => end > index)!;
    const last = nodes.find(({ end }) => end >= index + length)!;
    range.setStart(first.node, index - first.start);
    range.setEnd(last.node, index + length - last.start);
    return range;
  });
}

/** Scrolls a place of a text to the middle of its box, and the box into the window. */
function show(place: Range): void {
  const box = place.startContainer.parentElement!.closest('.option')!;
  const [inside, outside] = [place.getBoundingClientRect(), box.getBoundingClientRect()];
  box.scrollTop += inside.top - outside.top - box.clientHeight / 2;
  box.scrollIntoView({ block: 'nearest' });
}

/** A field that marks words in the texts. Enter goes to the next place, and shift with it to the one before. */
function Find({ place, texts }: { place: { current: HTMLElement | null }; texts: ComponentChildren }) {
  const words = useWords();
  const [sought, setSought] = useState('');
  const [at, setAt] = useState(-1);
  const [places, setPlaces] = useState<readonly Range[]>([]);
  // before the next key, which may be Enter: an effect waits for a frame
  useLayoutEffect(() => {
    const boxes = [...place.current!.querySelectorAll('.option')];
    setPlaces(boxes.flatMap((box) => placesOf(box, sought.trim())));
  }, [sought, texts]); // they are drawn anew as written, and with their differences
  useLayoutEffect(() => {
    if (!('highlights' in CSS)) return; // Firefox before 140: places are found, but not colored
    CSS.highlights.set('found', new Highlight(...places));
    CSS.highlights.set('found-here', new Highlight(...places.slice(at, at + 1)));
    return () => void (CSS.highlights.delete('found') && CSS.highlights.delete('found-here'));
  }, [places, at]);
  const go = (by: 1 | -1) => {
    const next = at < 0 && by < 0 ? places.length - 1 : (at + by + places.length) % places.length;
    setAt(next);
    show(places[next]);
  };
  return (
    <>
      <input
        type="search"
        aria-label={words.find}
        placeholder={words.find}
        value={sought}
        onInput={({ currentTarget: { value } }) => {
          setSought(value);
          setAt(-1);
        }}
        onKeyDown={(event) => {
          if (event.key !== 'Enter' || places.length === 0) return;
          event.preventDefault();
          go(event.shiftKey ? -1 : 1);
        }}
      />
      <span class="quiet" role="status">
        {sought && words.found(Math.max(0, at + 1), places.length)}
      </span>
    </>
  );
}

/** What is long folds to its beginning. */
export function Folded({ text, children }: { text: string; children: ComponentChildren }) {
  const words = useWords();
  const [open, setOpen] = useState(false);
  if (!isLong([text])) return <>{children}</>;
  return (
    <>
      <div class={open ? undefined : 'folded'}>{children}</div>
      <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
        {open ? words.showLess : words.showAll}
      </button>
    </>
  );
}
