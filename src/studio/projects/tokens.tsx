/** What a model learns of a project's rows: its tokens, before a training begins. */
import { useState } from 'preact/hooks';
import { percent } from '../../percent.ts';
import { inProject, json, projectApi } from '../page/api.ts';
import { Loaded, useResource } from '../page/load.tsx';

type Exported = Parameters<typeof projectApi.tokens.$get>[0]['query'];

/** The first rows of an export as a model gets them; they are loaded when it is opened. */
export function LearnedTokens({ name, exported }: { name: string; exported: Exported }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details onToggle={({ currentTarget: { open } }) => setOpen(open)}>
      <summary>See what a model learns of it</summary>
      {isOpen && <Sequences name={name} exported={exported} />}
    </details>
  );
}

function Sequences({ name, exported }: { name: string; exported: Exported }) {
  const load = () => json(projectApi.tokens.$get({ ...inProject(name), query: exported }));
  const tokens = useResource(load, name, ...Object.values(exported));
  return (
    <Loaded of={tokens}>
      {({ model, sequences, long }) => {
        if (model === null) {
          return (
            <p class="quiet">
              Start the studio with <code>--model</code> to see the tokens here, or download the rows and type{' '}
              <code>heed data tokens FILE --model MODEL</code>.
            </p>
          );
        }
        return (
          <>
            <p class="quiet">
              {sequences.length === 0
                ? 'No judgment makes a row yet.'
                : `The first rows as ${model} gets them. It learns the marked tokens.`}
              {long > 0 && ` ${long} of the first rows ${long === 1 ? 'is' : 'are'} too long to be shown.`}
            </p>
            {sequences.map(({ row, part, pieces, tokens, learned, unused }) => (
              <article key={`${row} ${part}`} class="prompt" aria-label={`Row ${row}, ${part}`}>
                <p class="quiet">
                  Row {row}, {part}: {tokens} tokens, {learned} learned ({percent(learned / tokens, 0)})
                  {unused.length > 0 && `. Not used: ${unused.join(', ')}`}
                </p>
                <p class="text">
                  {pieces.map(({ text, learned }) => (learned ? <mark class="good">{text}</mark> : text))}
                </p>
              </article>
            ))}
          </>
        );
      }}
    </Loaded>
  );
}
