/** What a model finds wrong with each response of an item, for the annotator who judges it (Saunders et al. 2022). */
import { useLayoutEffect, useState } from 'preact/hooks';
import type { AssignedItem, Person } from '../page/api.ts';
import { placeName } from '../page/item.tsx';
import { FormattedText } from '../page/markdown.tsx';
import { useWords } from '../words/words.ts';
import { bindings } from './keys.ts';

/** Items that are remembered as seen: a judgment follows soon, or the item goes to somebody else. */
const REMEMBERED = 500;

const keyOf = ({ id }: Pick<Person, 'id'>) => `heed critiques ${id}`;
const seenBy = (person: Pick<Person, 'id'>): string[] => JSON.parse(localStorage.getItem(keyOf(person)) ?? '[]');

/** Whether a person has seen the critiques of an item in this browser: a reload or an undo does not change that. */
export const hasSeenCritiques = (person: Pick<Person, 'id'>, item: string): boolean => seenBy(person).includes(item);

function rememberSeen(person: Pick<Person, 'id'>, item: string): void {
  if (hasSeenCritiques(person, item)) return;
  localStorage.setItem(keyOf(person), JSON.stringify([...seenBy(person), item].slice(-REMEMBERED)));
}

/** The critiques of an item, in the order of its responses. Their text is shown as it was written, never as Markdown. */
export function CritiquesView({
  critiques: { by, texts, found },
  item,
  shown,
  person,
  atOnce,
}: {
  critiques: NonNullable<AssignedItem['critiques']>;
  item: string;
  shown: readonly number[];
  person: Person;
  /** Whether they are open before anybody asks for them. */
  atOnce: boolean;
}) {
  const words = useWords();
  const percent = new Intl.NumberFormat(words.language, { style: 'percent' });
  const [isOpen, setOpen] = useState(atOnce);
  useLayoutEffect(() => {
    if (isOpen) rememberSeen(person, item);
  }, [isOpen]);
  return (
    <details class="critiques" open={isOpen} onToggle={({ currentTarget: { open } }) => setOpen(open)}>
      <summary>
        {words.critiques.title(by)} <kbd>{bindings().critiques}</kbd>
      </summary>
      {isOpen && (
        <>
          <p class="quiet">{words.critiques.warning}</p>
          <dl>
            {shown.map((option, place) => (
              <div>
                <dt>{placeName(place, shown.length, words.places)}</dt>
                {found && <dd class="quiet">{words.critiques.found(percent.format(found[option]))}</dd>}
                <dd>{texts[option].trim() ? <FormattedText text={texts[option]} raw /> : words.critiques.nothing}</dd>
              </div>
            ))}
          </dl>
        </>
      )}
    </details>
  );
}
