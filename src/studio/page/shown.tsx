/** What an item shows: the prompt, and the options in the order in which this person sees them. */
import type { Content, Option } from './api.ts';
import { Clips } from './clips.tsx';
import { Text } from './markdown.tsx';

/** What the options are called on the page. */
export const placeName = (place: number, count: number): string =>
  count === 1 ? 'Answer' : count === 2 ? ['Left', 'Right'][place] : `Answer ${place + 1}`;

export function Prompt({ prompt, raw }: Pick<Content, 'prompt'> & { raw?: boolean }) {
  if (prompt === undefined) return null;
  const turns = typeof prompt === 'string' ? [{ role: 'prompt', content: prompt }] : prompt;
  return (
    <section class="prompt" aria-label="Prompt">
      {turns.map(({ role, content }) => (
        <div class={`turn from-${role}`}>
          <span class="role">{role}</span>
          <Text text={content} raw={raw} />
        </div>
      ))}
    </section>
  );
}

type Clip = Extract<Option, { kind: 'clip' }>;

export function Options({
  content: { options },
  shown,
  raw,
}: {
  content: Content;
  shown: readonly number[];
  raw?: boolean;
}) {
  const placed = shown.map((i) => options[i]);
  const clips = placed.filter((option): option is Clip => option.kind === 'clip');
  if (clips.length === placed.length && clips.length > 0) return <Clips clips={clips} />;
  return (
    <div class={placed.length > 2 ? 'options many' : placed.length === 1 ? 'options one' : 'options'}>
      {placed.map((option, i) => {
        const name = placeName(i, placed.length);
        return (
          <section class="option" aria-label={name}>
            {placed.length > 2 && <h2>{name}</h2>}
            {option.kind === 'text' ? <Text text={option.text} raw={raw} /> : <Clips clips={[option]} />}
          </section>
        );
      })}
    </div>
  );
}
