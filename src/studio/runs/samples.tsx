/** The samples of a run: completions of two steps side by side, comparisons of clips, and others one by one. */

import type { Message } from '../../feedback/judgment.ts';
import { percent } from '../../percent.ts';
import { ClipPlayer } from '../page/clips.tsx';
import { ErrorNote } from '../page/error-note.tsx';
import { Pages, Select } from '../page/fields.tsx';
import { Messages } from '../page/item.tsx';
import { shortNumber } from './chart.tsx';
import type { RunDetails, RunSample } from './data.ts';
import { Gallery } from './gallery.tsx';
import { Histogram } from './histogram.tsx';
import { type ComparisonRow, isComparison, useSamples } from './use-samples.ts';
import type { ChangeView, RunsView } from './view.ts';

interface Props {
  runs: readonly RunDetails[];
  view: RunsView;
  change: ChangeView;
  version: number;
}

/** The tab of samples. */
export function RunSamples({ runs, view, change, version }: Props) {
  const run = runs.find(({ id }) => id === view.of) ?? runs[0];
  // these are in the histograms and in the report
  const kinds = Object.keys(run.samples).filter((one) => one !== 'spread' && one !== 'world');
  const kind =
    view.kind && kinds.includes(view.kind) ? view.kind : (kinds.find((one) => one === 'completion') ?? kinds[0]);
  const props = { run: run.id, kind, view, change, version };
  return (
    <>
      <fieldset class="bar" aria-label="Choice of samples">
        {runs.length > 1 && (
          <Select
            label="Run"
            value={run.id}
            options={runs.map(({ id }) => id)}
            set={(id) => change({ of: id, steps: [], sample: 0 })}
          />
        )}
        {kinds.length > 1 && (
          <Select
            label="Kind"
            value={kind}
            options={Object.fromEntries(kinds.map((one) => [one, `${one} (${run.samples[one]})`]))}
            set={(one) => change({ kind: one, steps: [], sample: 0 })}
          />
        )}
      </fieldset>
      {kind === undefined && <p class="quiet">No samples yet.</p>}
      {kind === 'completion' && <Completions key={run.id} {...props} />}
      {kind !== undefined && kind !== 'completion' && <OneByOne key={`${run.id} ${kind}`} {...props} kind={kind} />}
    </>
  );
}

interface SamplesProps {
  run: string;
  view: RunsView;
  change: ChangeView;
  version: number;
}

function Completions({ run, view, change, version }: SamplesProps) {
  const { page, error } = useSamples(run, { kind: 'completion', limit: 1 }, version);
  if (error) return <ErrorNote error={error} />;
  if (!page) return <p class="quiet">Loading…</p>;
  const { steps } = page;
  const [first = steps[0], second = steps.at(-1)!] = view.steps.filter((step) => steps.includes(step));
  const texts = steps.map(String);
  return (
    <>
      <fieldset class="bar" aria-label="Steps to compare">
        <Select
          label="Step"
          value={String(first)}
          options={texts}
          set={(step) => change({ steps: [Number(step), second] })}
        />
        <Select
          label="Compare with step"
          value={String(second)}
          options={texts}
          set={(step) => change({ steps: [first, Number(step)] })}
        />
      </fieldset>
      <SideBySide run={run} steps={first === second ? [first] : [first, second]} />
    </>
  );
}

/** Names of a sample's numbers, without those that say where it comes from. */
const measures = (sample: RunSample): string[] =>
  Object.keys(sample).filter((name) => typeof sample[name] === 'number' && name !== 'step' && name !== 'index');

function SideBySide({ run, steps }: { run: string; steps: readonly number[] }) {
  const first = useSamples(run, { kind: 'completion', step: steps[0], limit: 200 }, 0);
  const last = useSamples(run, { kind: 'completion', step: steps.at(-1), limit: 200 }, 0);
  const error = first.error ?? last.error;
  if (error) return <ErrorNote error={error} />;
  const sides = [first, last].slice(0, steps.length).map(({ page }) => page?.samples ?? []);
  const names = [...new Set(sides.flat().flatMap(measures))];
  const referenced = sides.flat().some(({ reference }) => reference !== undefined);
  const rows = [...new Set(sides.flat().map(({ index }) => index))];
  return (
    <>
      <div class="panels">
        {names.map((name) => (
          <Histogram
            key={name}
            title={`${name} of sampled responses`}
            groups={sides.map((samples, i) => ({
              name: `step ${steps[i]}`,
              values: samples.map((sample) => sample[name]).filter((value): value is number => Number.isFinite(value)),
            }))}
          />
        ))}
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard */}
      <section class="scroll" aria-label="Responses" tabIndex={0}>
        <table class="answers">
          <thead>
            <tr>
              <th scope="col">Prompt</th>
              {steps.map((step) => (
                <>
                  <th scope="col">Response at step {step}</th>
                  {names.map((name) => (
                    <th scope="col">{name}</th>
                  ))}
                </>
              ))}
              {referenced && <th scope="col">Reference</th>}
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
                      <td class="text">
                        <Written answer={answer} />
                      </td>
                      {names.map((name) => (
                        <td class="number">{typeof answer?.[name] === 'number' ? shortNumber(answer[name]) : '–'}</td>
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

/** What a policy wrote: of an episode the conversation with the calls of tools, and why its environment failed. */
function Written({ answer }: { answer: RunSample | undefined }) {
  if (!Array.isArray(answer?.messages)) return <>{words(answer?.text)}</>;
  return (
    <div class="episode">
      <Messages messages={answer.messages as Message[]} raw />
      {answer.failure !== undefined && <p class="error">The environment failed: {words(answer.failure)}</p>}
    </div>
  );
}

const words = (value: unknown): string => (typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));

function OneByOne({ run, kind, view, change, version }: SamplesProps & { kind: string }) {
  const [step] = view.steps;
  const { page, error } = useSamples(run, { kind, step, offset: view.sample, limit: 1 }, version);
  if (error) return <ErrorNote error={error} />;
  if (!page) return <p class="quiet">Loading…</p>;
  const [sample] = page.samples;
  return (
    <>
      <fieldset class="bar" aria-label="Choice of sample">
        {page.steps.length > 1 && (
          <Select
            label="Step"
            value={step === undefined ? '' : String(step)}
            options={{ '': 'all', ...Object.fromEntries(page.steps.map((one) => [one, String(one)])) }}
            set={(one) => change({ steps: one === '' ? [] : [Number(one)], sample: 0 })}
          />
        )}
        <Pages page={view.sample} pages={page.total} set={(one) => change({ sample: one })}>
          {view.sample + 1} of {page.total}
          {sample?.step !== undefined && `, at step ${sample.step}`}
        </Pages>
      </fieldset>
      {sample && (isComparison(sample) ? <Comparison sample={sample} /> : <Plain sample={sample} />)}
      {sample && isComparison(sample) && page.total > 1 && (
        <Gallery run={run} kind={kind} step={step} selected={view.sample} onSelect={(one) => change({ sample: one })} />
      )}
    </>
  );
}

function verdictOf(choice: ComparisonRow['choice']): string {
  if (choice === 'incomparable') return 'Incomparable.';
  if (choice[0] === choice[1]) return 'Both were judged equally good.';
  return `The ${choice[0] > choice[1] ? 'left' : 'right'} clip was preferred.`;
}

function Comparison({ sample }: { sample: ComparisonRow }) {
  const { first, second, framesPerSecond, choice, predicted, returns } = sample;
  return (
    <>
      <ClipPlayer
        key={String(sample.id)}
        clips={[first, second].map((frames) => ({ kind: 'clip' as const, frames, framesPerSecond }))}
      />
      <p>
        {verdictOf(choice)}
        {typeof predicted === 'number' && ` The reward model preferred the left with ${percent(predicted, 0)}.`}
        {Array.isArray(returns) && ` Returns, or the judge’s scores: ${returns.map(shortNumber).join(' and ')}.`}
      </p>
    </>
  );
}

function Plain({ sample }: { sample: RunSample }) {
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
