/** What the model writes now, beside what it wrote before training. */
import type { RoomPlay } from '../../feedback/room.ts';

interface TextsProps extends Pick<RoomPlay, 'texts' | 'step'> {
  done: boolean;
  /** Which prompt is shown; it starts again after the last. */
  at: number;
  /** Shows the next prompt. */
  next(): void;
}

/** Completions of a prompt before training and now. */
export function Texts({ texts, step, done, at, next }: TextsProps) {
  const { prompt, before, now: latest } = texts[at % texts.length];
  const current = step === 0 ? 'The model before training' : 'The model now';
  const title = done ? 'The trained model' : current;
  return (
    <figure class="texts">
      <figcaption>
        <span>
          {title}
          {step > 0 && <span class="quiet"> (step {step.toLocaleString('en-US')})</span>}
        </span>
        {texts.length > 1 && (
          <button type="button" class="plain" onClick={next}>
            Another prompt
          </button>
        )}
      </figcaption>
      <p class="text quiet">{prompt}</p>
      <dl>
        <Completion title="Before" text={before} />
        {step > 0 && <Completion title="Now" text={latest} />}
      </dl>
    </figure>
  );
}

function Completion({ title, text }: { title: string; text: string }) {
  return (
    <div>
      <dt>{title}</dt>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard */}
      <dd class="text" tabIndex={0}>
        {text}
      </dd>
    </div>
  );
}
