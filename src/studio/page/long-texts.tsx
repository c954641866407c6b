/** Reading long texts: side by side they scroll together, words are found in all of them, and a long prompt folds. */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
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
        <Find place={place} />
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

/** The places of some words in the texts of an element, whatever their case. */
function placesOf(element: Element, sought: string): Range[] {
  const found: Range[] = [];
  const nodes = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  for (let node = nodes.nextNode(); sought && node; node = nodes.nextNode()) {
    const text = node.textContent!.toLowerCase();
    for (let at = text.indexOf(sought); at >= 0; at = text.indexOf(sought, at + sought.length)) {
      const range = new Range();
      range.setStart(node, at);
      range.setEnd(node, at + sought.length);
      found.push(range);
    }
  }
  return found;
}

/** A field that marks words in the texts. Enter goes to the next place, and shift with it to the one before. */
function Find({ place }: { place: { current: HTMLElement | null } }) {
  const words = useWords();
  const [sought, setSought] = useState('');
  const [at, setAt] = useState(-1);
  const [places, setPlaces] = useState<readonly Range[]>([]);
  useEffect(() => {
    const texts = [...place.current!.querySelectorAll('.option')];
    setPlaces(texts.flatMap((text) => placesOf(text, sought.toLowerCase())));
    setAt(-1);
  }, [sought]);
  useEffect(() => {
    CSS.highlights.set('found', new Highlight(...places));
    CSS.highlights.set('found-here', new Highlight(...places.slice(at, at + 1)));
    places[at]?.startContainer.parentElement?.scrollIntoView({ block: 'nearest' });
    return () => void (CSS.highlights.delete('found') && CSS.highlights.delete('found-here'));
  }, [places, at]);
  return (
    <>
      <input
        type="search"
        aria-label={words.find}
        placeholder={words.find}
        value={sought}
        onInput={({ currentTarget: { value } }) => setSought(value)}
        onKeyDown={(event) => {
          if (event.key !== 'Enter' || places.length === 0) return;
          event.preventDefault();
          setAt((at + (event.shiftKey ? -1 + places.length : 1) + (at < 0 && event.shiftKey ? 1 : 0)) % places.length);
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
