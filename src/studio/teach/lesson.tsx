/** What the latest fit changed: the prediction of each of the latest choices before and after. */
import type { RoomView } from '../../feedback/server/rooms.ts';
import { percent } from '../../percent.ts';
import { lessonSentence } from './view.ts';

/** Shows the latest choices. */
export function LatestChoices({ view }: { view: RoomView }) {
  const sentence = lessonSentence(view);
  const pairs = view.lesson?.pairs ?? [];
  return (
    <section class="lesson" aria-label="What your judgments changed">
      <p>{sentence ?? 'What your judgments change is shown here.'}</p>
      {pairs.length > 0 && <p class="quiet">How sure it was of each: before → after its latest fit.</p>}
      {pairs.length > 0 && (
        <ol>
          {pairs.map(({ id, choice, before, after }) => {
            // as probabilities of the option that was chosen
            const [from, to] = [before, after ?? before].map((p) => (choice > 0.5 ? p : 1 - p));
            return (
              <li key={id} style={{ '--from': `${100 * from}%`, '--to': `${100 * to}%` }}>
                <span>{after === undefined ? percent(from, 0) : `${percent(from, 0)} → ${percent(to, 0)}`}</span>
              </li>
            );
          })}
        </ol>
      )}
    </section>
  );
}
