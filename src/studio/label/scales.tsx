import type { ProjectSettings } from '../page/api.ts';
import { useWords } from '../words/words.ts';

type Aspect = ProjectSettings['aspects'][number];

/** The scales of aspects. A digit rates the one in focus and moves on to the next. */
export function Scales({
  aspects,
  values,
  rate,
  ends: namedEnds,
}: {
  aspects: readonly Aspect[];
  values: Readonly<Record<string, number>>;
  rate(name: string, value: number): void;
  ends?: readonly [string, string];
}) {
  const words = useWords();
  const ends = namedEnds ?? [words.lowEnd, words.highEnd];
  return (
    <div class="scales">
      {aspects.map(({ name, description, scale }) => (
        <fieldset
          class="scale"
          onKeyDown={(event) => {
            const value = Number(event.key);
            if (event.target instanceof HTMLInputElement && event.target.type !== 'radio') return;
            if (!Number.isInteger(value) || value < 1 || value > scale) return;
            event.preventDefault();
            rate(name, value);
            const next = event.currentTarget.nextElementSibling?.querySelector('input');
            if (next) next.focus();
            else (document.activeElement as HTMLElement).blur();
          }}
        >
          <legend>
            {name} {description && <span class="quiet">{description}</span>}
          </legend>
          {scale > 10 ? (
            <input
              type="number"
              min={1}
              max={scale}
              value={values[name] ?? ''}
              aria-label={words.scaleOf(name, scale)}
              onInput={({ currentTarget: { valueAsNumber } }) => valueAsNumber >= 1 && rate(name, valueAsNumber)}
            />
          ) : (
            <div class="points">
              <span class="quiet">{ends[0]}</span>
              {Array.from({ length: scale }, (_, i) => (
                <label>
                  <input
                    type="radio"
                    name={`aspect ${name}`}
                    checked={values[name] === i + 1}
                    onChange={() => rate(name, i + 1)}
                  />
                  {i + 1}
                </label>
              ))}
              <span class="quiet">{ends[1]}</span>
            </div>
          )}
        </fieldset>
      ))}
    </div>
  );
}

/** Moves the focus to the first scale. */
export const focusScales = (): void => document.querySelector<HTMLInputElement>('.scales input')?.focus();
