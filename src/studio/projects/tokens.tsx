/** What a model learns of a project's rows: its tokens, before a training begins. */
import { useState } from 'preact/hooks';
import { inProject, json, projectApi } from '../page/api.ts';
import { Loaded, useResource } from '../page/load.tsx';

interface TokensProps {
  name: string;
  exported: Parameters<typeof projectApi.tokens.$get>[0]['query'];
}

/** The first rows of an export as a model gets them; they are loaded when it is opened. */
export function LearnedTokens(props: TokensProps) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details onToggle={({ currentTarget: { open } }) => setOpen(open)}>
      <summary>See what a model learns of it</summary>
      {isOpen && <Sequences {...props} />}
    </details>
  );
}

function Sequences({ name, exported }: TokensProps) {
  const load = () => json(projectApi.tokens.$get({ ...inProject(name), query: exported }));
  const tokens = useResource(load, name, ...Object.values(exported));
  return (
    <Loaded of={tokens}>
      {({ model, sequences, long }) => (
        <>
          <p class="quiet">
            {sequences.length > 0
              ? `The first rows as ${model} gets them. It learns the marked tokens.`
              : 'No judgment gives a row that can be shown.'}
            {long > 0 && ` Rows left out because they are too long: ${long}.`}
          </p>
          {sequences.map(({ title, pieces }) => (
            <article key={title} class="prompt" aria-label={title}>
              <p class="quiet">{title}</p>
              <p class="text">
                {pieces.map(({ text, learned }) => (learned ? <mark class="good">{text}</mark> : text))}
              </p>
            </article>
          ))}
        </>
      )}
    </Loaded>
  );
}
