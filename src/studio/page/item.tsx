/** An item: the prompt, and the options in the order in which this person sees them. */
import type { Content, Option } from './api.ts';
import { ClipPlayer } from './clips.tsx';
import { FormattedText } from './markdown.tsx';

/** Names of the options on the page, by their place. */
export const placeName = (place: number, count: number): string =>
  count === 1 ? 'Response' : count === 2 ? ['Left', 'Right'][place] : `Response ${place + 1}`;

/** The prompt of an item, or a conversation. */
export function PromptView({ prompt, raw }: Pick<Content, 'prompt'> & { raw?: boolean }) {
  if (prompt === undefined) return null;
  const turns = typeof prompt === 'string' ? [{ role: 'prompt', content: prompt }] : prompt;
  return (
    <section class="prompt" aria-label="Prompt">
      {turns.map(({ role, content }) => (
        <div class={`turn from-${role}`}>
          <span class="role">{role}</span>
          <FormattedText text={content} raw={raw} />
        </div>
      ))}
    </section>
  );
}

type Clip = Extract<Option, { kind: 'clip' }>;

/** The options of an item side by side. `raw` shows text as it was written. */
export function OptionsView({
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
  if (clips.length === placed.length && clips.length > 0) return <ClipPlayer clips={clips} />;
  return (
    <div class={placed.length > 2 ? 'options many' : placed.length === 1 ? 'options one' : 'options'}>
      {placed.map((option, i) => {
        const name = placeName(i, placed.length);
        return (
          <section class="option" aria-label={name}>
            {placed.length > 2 && <h2>{name}</h2>}
            {option.kind === 'text' ? <FormattedText text={option.text} raw={raw} /> : <ClipPlayer clips={[option]} />}
          </section>
        );
      })}
    </div>
  );
}
