/** Ranks several options, best first, by number keys, buttons or dragging. */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import Sortable from 'sortablejs';
import { useWords } from '../words/words.ts';
import { bindings, useKeys } from './keys.ts';
import type { KindProps } from './kind-props.ts';

/** The controls for items of kind ranking. */
export function RankingControls({ shown, submit, paused }: KindProps) {
  const words = useWords();
  /** Places on the page, best first; those of a tier are equally good. */
  const [tiers, setTiers] = useState<readonly (readonly number[])[]>([]);
  const [tying, setTying] = useState(false);
  const [typed, setTyped] = useState('');
  const count = shown.length;
  const placed = tiers.flat();
  const waiting = Array.from({ length: count }, (_, place) => place).filter((place) => !placed.includes(place));
  const keys = bindings();
  /** Digits of a response's number: with ten or more responses, "1" alone could be the beginning of "12". */
  const digits = String(count).length;

  const without = (place: number) => tiers.map((tier) => tier.filter((one) => one !== place));
  const put = (next: readonly (readonly number[])[]) => {
    setTiers(next.filter(({ length }) => length > 0));
    setTying(false);
    setTyped('');
  };
  const press = (place: number) => {
    if (placed.includes(place)) put(without(place));
    else if (tying && tiers.length > 0) put([...tiers.slice(0, -1), [...tiers.at(-1)!, place]]);
    else put([...tiers, [place]]);
  };
  const type = (number: string) => {
    const place = Number(number) - 1;
    if (number.length < digits) setTyped(number);
    else if (place >= 0 && place < count) press(place);
    else setTyped('');
  };
  const tieTo = (at: number, place: number) =>
    put(without(place).map((tier, i) => (i === at ? [...tier, place] : tier)));
  const putBefore = (at: number, place: number) => {
    const rest = without(place);
    put([...rest.slice(0, at), [place], ...rest.slice(at)]);
  };
  const send = () => {
    if (waiting.length > 0) return;
    const ranks = shown.map(
      (_, option) => 1 + tiers.findIndex((tier) => tier.some((place) => shown[place] === option)),
    );
    submit({ kind: 'ranking', ranks });
  };
  useKeys((action, key) => {
    if (paused) return false;
    if (/^\d$/.test(key)) type(typed + key);
    else if (key === 't' || key === '=') setTying(!tying);
    else if (key === 'backspace' && placed.length > 0) put(without(placed.at(-1)!));
    else if (action === 'send') send();
    else return false;
    return true;
  });

  const chip = (place: number) => (
    <button
      type="button"
      class="chip"
      data-place={place}
      onClick={() => press(place)}
      aria-label={placed.includes(place) ? words.unrank(place + 1) : words.rankNext(place + 1)}
    >
      {place + 1}
    </button>
  );
  return (
    <fieldset class="ranking" aria-label={words.yourRanking}>
      <Chips as="div" class="tray" drop={(place) => put(without(place))}>
        <span class="quiet">
          {waiting.length > 0 ? words.rankThese : words.allRanked}
          {digits > 1 && ` ${words.twoDigits}`}
        </span>
        {waiting.map(chip)}
      </Chips>
      <ol class="tiers" aria-label={words.bestFirst}>
        {tiers.map((tier, i) => (
          <>
            <Chips class="gap" drop={(place) => putBefore(i, place)} />
            <Chips class="tier" drop={(place) => tieTo(i, place)}>
              {tier.map(chip)}
            </Chips>
          </>
        ))}
        <Chips class="gap last" drop={(place) => putBefore(tiers.length, place)}>
          {tiers.length === 0 && words.bestToWorst}
        </Chips>
      </ol>
      <button type="button" aria-pressed={tying} disabled={tiers.length === 0} onClick={() => setTying(!tying)}>
        {words.tieNext} <kbd>t</kbd>
      </button>
      <button type="button" class="primary" disabled={waiting.length > 0} onClick={send}>
        {words.send} <kbd>{keys.send}</kbd>
      </button>
    </fieldset>
  );
}

/** Chips, to which others can be dragged, by mouse and by finger. `drop` gets the place of one that was. */
function Chips({
  as: Element = 'li',
  class: name,
  drop,
  children,
}: {
  as?: 'li' | 'div';
  class: string;
  drop(place: number): void;
  children?: ComponentChildren;
}) {
  const list = useRef<HTMLLIElement & HTMLDivElement>(null);
  const newest = useRef(drop);
  newest.current = drop;
  useEffect(() => {
    const sortable = Sortable.create(list.current!, {
      group: 'ranking',
      draggable: '.chip',
      sort: false,
      // the browser's own dragging knows no fingers, and Firefox drags no buttons
      forceFallback: true,
      fallbackOnBody: true,
      fallbackTolerance: 4,
      onAdd: ({ item, from, oldIndex }) => {
        // the page is drawn from the state alone
        from.insertBefore(item, from.children[oldIndex!]);
        newest.current(Number(item.dataset.place));
      },
    });
    return () => sortable.destroy();
  }, []);
  return (
    <Element ref={list} class={name} aria-hidden={name.startsWith('gap') || undefined}>
      {children}
    </Element>
  );
}
