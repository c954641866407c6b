/** One run, or several over one another: their curves, samples and settings, as they grow. */
import { useEffect, useState } from 'preact/hooks';
import { api } from '../page/api.ts';
import { Failure } from '../page/failure.tsx';
import { colorOf } from './chart.tsx';
import { Curves } from './curves.tsx';
import { followRuns, type RunDetails, runPath, type Sample, samplesOf } from './data.ts';
import { RunSamples } from './samples.tsx';
import { Settings } from './settings.tsx';
import { Spreads } from './spread.tsx';
import { type Change, hashOf, linkTo, PARTS, type RunsView, viewOf } from './view.ts';

/** Milliseconds between drawings of what comes. */
const PACE = 1500;
/** No screen tells more curves apart. */
const MOST = 8;

export function RunPage({ view, change }: { view: RunsView; change: Change }) {
  const ids = view.runs.slice(0, MOST);
  const { runs, version, failed } = useRuns(ids);
  if (!runs) return <main class="runs">{failed ? <Failure error={failed} /> : <p class="quiet">Reading…</p>}</main>;
  const [only] = runs;
  return (
    <main class="runs">
      <header>
        <p class="quiet">
          <a href="#/runs">Runs</a>
        </p>
        <h1>{runs.length === 1 ? only.id.replace('~', ' › ') : `${runs.length} runs over one another`}</h1>
        {view.runs.length > MOST && (
          <p class="quiet">
            The first {MOST} of {view.runs.length} are shown.
          </p>
        )}
      </header>
      {failed && <Failure error={failed} />}
      <ul class="legend">
        {runs.map((run, i) => (
          <li key={run.id}>
            <i style={{ background: colorOf(i) }} />
            {runs.length > 1 && <a href={linkTo(run.id)}>{run.id.replace('~', ' › ')}</a>}
            <span class="quiet">
              {run.info.command}, seed {run.info.seed}, step {run.latest.step ?? 0}
            </span>
            {run.running && <span class="running">running</span>}
            {run.report && (
              <a href={`/api${runPath(run.id)}/report.html`} target="_blank" rel="noopener">
                Report{runs.length > 1 && <span class="hidden"> of {run.id}</span>}
              </a>
            )}
            {runs.length > 1 && (
              <a
                href={hashOf({ ...view, runs: view.runs.filter((id) => id !== run.id) })}
                aria-label={`Without ${run.id}`}
              >
                ×
              </a>
            )}
          </li>
        ))}
        <li>
          <a href={hashOf({ ...viewOf('#/runs'), picked: view.runs })}>
            Lay others over {runs.length > 1 ? 'them' : 'it'}
          </a>
        </li>
      </ul>
      <nav class="parts" aria-label="Parts of the run">
        {PARTS.map((part) => (
          <a key={part} href={hashOf({ ...view, part })} aria-current={view.part === part ? 'page' : undefined}>
            {{ curves: 'Curves', histograms: 'Histograms', samples: 'Samples', settings: 'Settings' }[part]}
          </a>
        ))}
      </nav>
      {view.part === 'curves' && (
        <>
          {runs.map(
            ({ id, samples }) =>
              samples.alert && <Alerts key={id} id={id} count={samples.alert} several={runs.length > 1} />,
          )}
          {runs.length > 1 && (
            <details open>
              <summary>What differs in their settings</summary>
              <Settings runs={runs} differing />
            </details>
          )}
          <Curves runs={runs} view={view} change={change} version={version} />
        </>
      )}
      {view.part === 'histograms' && <Spreads runs={runs} version={version} />}
      {view.part === 'samples' && <RunSamples runs={runs} view={view} change={change} version={version} />}
      {view.part === 'settings' && <Settings runs={runs} />}
    </main>
  );
}

/** What is known of runs, and a number that grows with their rows. */
function useRuns(ids: readonly string[]) {
  const [runs, setRuns] = useState<RunDetails[]>();
  const [version, setVersion] = useState(0);
  const [failed, setFailed] = useState<Error>();
  useEffect(() => {
    let here = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const known = new Map<string, string>();
    const look = async () => {
      try {
        const found = await Promise.all(ids.map((id) => api<RunDetails>(runPath(id))));
        if (!here) return;
        for (const { id, rows, running } of found) known.set(id, `${rows} ${running}`);
        setRuns(found);
        setVersion((n) => n + 1);
        setFailed(undefined);
      } catch (error) {
        if (here) setFailed(error as Error);
      } finally {
        timer = undefined;
      }
    };
    let stop = () => {};
    void look().then(() => {
      if (!here) return;
      stop = followRuns(ids, ({ run, rows, running }) => {
        if (known.get(run) !== `${rows} ${running}`) timer ??= setTimeout(look, PACE);
      });
    });
    return () => {
      here = false;
      clearTimeout(timer);
      stop();
    };
  }, [ids.join()]);
  return { runs, version, failed };
}

function Alerts({ id, count, several }: { id: string; count: number; several: boolean }) {
  const [alerts, setAlerts] = useState<Sample[]>([]);
  useEffect(() => {
    const offset = Math.max(0, count - 20);
    samplesOf(id, { kind: 'alert', offset, limit: 20 }).then(
      ({ samples }) => setAlerts(samples.reverse()),
      () => {},
    );
  }, [id, count]);
  return (
    <details class="alerts" open>
      <summary>
        {count} {count === 1 ? 'alert' : 'alerts'}
        {several && ` of ${id}`}
      </summary>
      <ul>
        {alerts.map(({ step, text }) => (
          <li>
            Step {step}: {String(text)}
          </li>
        ))}
      </ul>
    </details>
  );
}
