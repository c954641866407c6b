import { Clips } from '../page/clips.tsx';
import { Failure } from '../page/failure.tsx';
import { figure } from './chart.tsx';
import type { RunDetails, Sample } from './data.ts';
import { Gallery } from './gallery.tsx';
import { Histogram } from './histogram.tsx';
import { type ComparedSample, isCompared, useSamples } from './sampled.ts';
import type { Change, RunsView } from './view.ts';

interface Props {
  runs: readonly RunDetails[];
  view: RunsView;
  change: Change;
  version: number;
}

export function RunSamples({ runs, view, change, version }: Props) {
  const run = runs.find(({ id }) => id === view.of) ?? runs[0];
  // those are drawn as histograms, and told in the report
  const kinds = Object.keys(run.samples).filter((one) => one !== 'spread' && one !== 'world');
  const kind = view.kind && kinds.includes(view.kind) ? view.kind : (kinds.find((one) => one === 'answer') ?? kinds[0]);
  const asked = { of: run.id, kind, view, change, version };
  return (
    <>
      <fieldset class="bar" aria-label="Which samples">
        {runs.length > 1 && (
          <Choice
            label="Of"
            value={run.id}
            options={runs.map(({ id }) => id)}
            chosen={(of) => change({ of, steps: [], sample: 0 })}
          />
        )}
        {kinds.length > 1 && (
          <Choice
            label="Kind"
            value={kind}
            options={kinds}
            told={(one) => `${one} (${run.samples[one]})`}
            chosen={(one) => change({ kind: one, steps: [], sample: 0 })}
          />
        )}
      </fieldset>
      {kind === undefined && <p class="quiet">No samples were written yet.</p>}
      {kind === 'answer' && <Answers key={run.id} {...asked} />}
      {kind !== undefined && kind !== 'answer' && <OneByOne key={`${run.id} ${kind}`} {...asked} kind={kind} />}
    </>
  );
}

interface Asked {
  of: string;
  view: RunsView;
  change: Change;
  version: number;
}

function Choice({ label, value, options, told = (one) => one, chosen }: ChoiceProps) {
  return (
    <label>
      {label}{' '}
      <select value={value} onChange={({ currentTarget }) => chosen(currentTarget.value)}>
        {options.map((one) => (
          <option key={one} value={one}>
            {told(one)}
          </option>
        ))}
      </select>
    </label>
  );
}
interface ChoiceProps {
  label: string;
  value: string | undefined;
  options: readonly string[];
  told?: (one: string) => string;
  chosen(one: string): void;
}

function Answers({ of, view, change, version }: Asked) {
  const { found, failed } = useSamples(of, { kind: 'answer', limit: 1 }, version);
  if (failed) return <Failure error={failed} />;
  if (!found) return <p class="quiet">Loading…</p>;
  const { steps } = found;
  const [first = steps[0], second = steps.at(-1)!] = view.steps.filter((step) => steps.includes(step));
  const texts = steps.map(String);
  return (
    <>
      <fieldset class="bar" aria-label="Steps to compare">
        <Choice
          label="Step"
          value={String(first)}
          options={texts}
          chosen={(step) => change({ steps: [Number(step), second] })}
        />
        <Choice
          label="beside step"
          value={String(second)}
          options={texts}
          chosen={(step) => change({ steps: [first, Number(step)] })}
        />
      </fieldset>
      <Beside of={of} steps={first === second ? [first] : [first, second]} />
    </>
  );
}

/** Numbers of a sample that are not about where it comes from. */
const measures = (sample: Sample): string[] =>
  Object.keys(sample).filter((name) => typeof sample[name] === 'number' && name !== 'step' && name !== 'index');

function Beside({ of, steps }: { of: string; steps: readonly number[] }) {
  const first = useSamples(of, { kind: 'answer', step: steps[0], limit: 200 }, 0);
  const last = useSamples(of, { kind: 'answer', step: steps.at(-1), limit: 200 }, 0);
  const failed = first.failed ?? last.failed;
  if (failed) return <Failure error={failed} />;
  const sides = [first, last].slice(0, steps.length).map(({ found }) => found?.samples ?? []);
  const names = [...new Set(sides.flat().flatMap(measures))];
  const referenced = sides.flat().some(({ reference }) => reference !== undefined);
  const rows = [...new Set(sides.flat().map(({ index }) => index))];
  return (
    <>
      <div class="panels">
        {names.map((name) => (
          <Histogram
            key={name}
            title={`${name} of sampled answers`}
            groups={sides.map((samples, i) => ({
              name: `step ${steps[i]}`,
              values: samples.map((sample) => sample[name]).filter((value): value is number => Number.isFinite(value)),
            }))}
          />
        ))}
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard */}
      <section class="scroll" aria-label="Answers" tabIndex={0}>
        <table class="answers">
          <thead>
            <tr>
              <th scope="col">Prompt</th>
              {steps.map((step) => (
                <>
                  <th scope="col">Answer at step {step}</th>
                  {names.map((name) => (
                    <th scope="col">{name}</th>
                  ))}
                </>
              ))}
              {referenced && <th scope="col">In the data</th>}
            </tr>
          </thead>
          <tbody>
            {rows.map((index) => {
              const answers = sides.map((samples) => samples.find((sample) => sample.index === index));
              const any = answers.find(Boolean)!;
              return (
                <tr>
                  <td class="text">{words(any.prompt)}</td>
                  {answers.map((answer) => (
                    <>
                      <td class="text">{words(answer?.text)}</td>
                      {names.map((name) => (
                        <td class="number">{typeof answer?.[name] === 'number' ? figure(answer[name]) : '–'}</td>
                      ))}
                    </>
                  ))}
                  {referenced && <td class="text">{words(any.reference)}</td>}
                </tr>
              );
            })}
          </tbody>
        </table>
      </section>
    </>
  );
}

const words = (value: unknown): string =>
  typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value);

function OneByOne({ of, kind, view, change, version }: Asked & { kind: string }) {
  const [step] = view.steps;
  const { found, failed } = useSamples(of, { kind, step, offset: view.sample, limit: 1 }, version);
  if (failed) return <Failure error={failed} />;
  if (!found) return <p class="quiet">Loading…</p>;
  const [sample] = found.samples;
  return (
    <>
      <fieldset class="bar" aria-label="Which of them">
        {found.steps.length > 1 && (
          <Choice
            label="Step"
            value={step === undefined ? '' : String(step)}
            options={['', ...found.steps.map(String)]}
            told={(one) => one || 'all'}
            chosen={(one) => change({ steps: one === '' ? [] : [Number(one)], sample: 0 })}
          />
        )}
        <button type="button" disabled={view.sample === 0} onClick={() => change({ sample: view.sample - 1 })}>
          Previous
        </button>
        <span role="status">
          {found.total === 0 ? 'none' : `${view.sample + 1} of ${found.total}`}
          {sample?.step !== undefined && `, at step ${sample.step}`}
        </span>
        <button
          type="button"
          disabled={view.sample + 1 >= found.total}
          onClick={() => change({ sample: view.sample + 1 })}
        >
          Next
        </button>
      </fieldset>
      {sample && (isCompared(sample) ? <Compared sample={sample} /> : <Plain sample={sample} />)}
      {sample && isCompared(sample) && found.total > 1 && (
        <Gallery of={of} kind={kind} step={step} chosen={view.sample} choose={(one) => change({ sample: one })} />
      )}
    </>
  );
}

function Compared({ sample }: { sample: ComparedSample }) {
  const { first, second, framesPerSecond, choice, predicted, returns } = sample;
  const said =
    choice === 'incomparable'
      ? 'Nobody could tell which is better.'
      : choice[0] === choice[1]
        ? 'Both were said to be as good.'
        : `The ${choice[0] > choice[1] ? 'left' : 'right'} one was preferred.`;
  return (
    <>
      <Clips
        key={String(sample.id)}
        clips={[first, second].map((frames) => ({ kind: 'clip' as const, frames, framesPerSecond }))}
      />
      <p>
        {said}
        {typeof predicted === 'number' && ` The reward model gave the left one ${Math.round(100 * predicted)} %.`}
        {Array.isArray(returns) && ` True returns: ${returns.map(figure).join(' and ')}.`}
      </p>
    </>
  );
}

function Plain({ sample }: { sample: Sample }) {
  return (
    <dl class="plain">
      {Object.entries(sample).map(([name, value]) => (
        <>
          <dt>{name}</dt>
          <dd class="text">{typeof value === 'string' ? value : JSON.stringify(value, null, 1)}</dd>
        </>
      ))}
    </dl>
  );
}
