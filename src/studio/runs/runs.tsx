/** Runs: the list of them, and the page of one run or of several compared. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { percent } from '../../percent.ts';
import { api, json } from '../page/api.ts';
import { ErrorNote } from '../page/error-note.tsx';
import { Field, Pages } from '../page/fields.tsx';
import { WideTable } from '../page/parts.tsx';
import type { ListedRun } from './data.ts';
import { Machine } from './machine.tsx';
import { RunPage } from './page.tsx';
import { addressHash, type ChangeView, linkTo, type RunsView, viewOf } from './view.ts';
import './runs.css';

/** The page of runs. */
export function Runs() {
  const [view, setView] = useState(() => viewOf(location.hash));
  const latest = useRef(view);
  latest.current = view;
  useEffect(() => {
    const moved = () => setView(viewOf(location.hash));
    addEventListener('hashchange', moved);
    return () => removeEventListener('hashchange', moved);
  }, []);
  const change: ChangeView = (what) => {
    latest.current = { ...latest.current, ...what };
    history.replaceState(null, '', addressHash(latest.current));
    setView(latest.current);
  };
  if (view.runs.length === 0) return <RunList view={view} change={change} />;
  return <RunPage key={view.runs.join()} view={view} change={change} />;
}

const PAGE = 50;
/** Milliseconds between updates of the list. */
const LOOK = 10_000;

function RunList({ view, change }: { view: RunsView; change: ChangeView }) {
  const { search, page, picked } = view;
  const [list, setList] = useState<{ total: number; runs: ListedRun[] }>();
  const [error, setError] = useState<Error>();
  useEffect(() => {
    let here = true;
    const query = { limit: PAGE, offset: page * PAGE, search };
    const look = () => {
      if (document.hidden) return;
      json(api.runs.$get({ query })).then(
        (loaded) => {
          if (!here) return;
          setList(loaded);
          setError(undefined);
        },
        (failure) => here && setError(failure),
      );
    };
    const first = setTimeout(look, 150); // one request for several key presses
    const again = setInterval(look, LOOK);
    return () => {
      here = false;
      clearTimeout(first);
      clearInterval(again);
    };
  }, [search, page]);
  const pick = (id: string, yes: boolean) =>
    change({ picked: yes ? [...picked, id] : picked.filter((other) => other !== id) });
  const pages = Math.ceil((list?.total ?? 0) / PAGE);
  return (
    <main class="runs">
      <header class="bar">
        <h1>Runs</h1>
        <Machine />
      </header>
      <div class="bar">
        <Field
          label="Search"
          type="search"
          value={search}
          placeholder="name or command"
          set={(words) => change({ search: words, page: 0 })}
        />
        {picked.length > 0 && (
          <a class="button primary" href={linkTo(...picked)}>
            {picked.length === 1 ? 'Show' : `Compare ${picked.length} runs`}
          </a>
        )}
        {picked.length > 0 && (
          <button type="button" onClick={() => change({ picked: [] })}>
            Clear selection
          </button>
        )}
        <span class="quiet" role="status">
          {list && `${list.total} ${list.total === 1 ? 'run' : 'runs'}`}
        </span>
      </div>
      {error && <ErrorNote error={error} />}
      {!list && !error && <p class="quiet">Loading…</p>}
      {list?.total === 0 && search === '' && (
        <p class="quiet">
          No runs yet. Start one: <code>heed train --env CartPole-v1</code>
        </p>
      )}
      {list && list.runs.length > 0 && (
        <WideTable
          label="Runs"
          columns={[<span class="hidden">Select</span>, 'Run', 'Progress', 'Command', 'Started', 'Updated', 'Seed']}
          headAt={-1}
          rows={list.runs.map(({ id, name, command, started, changed, seed, running, ...progress }) => [
            <input
              type="checkbox"
              aria-label={`Select ${id}`}
              checked={picked.includes(id)}
              onChange={({ currentTarget: { checked } }) => pick(id, checked)}
            />,
            <div class="name">
              <a href={linkTo(id)}>{id.replace('~', ' › ')}</a> {running && <span class="running">running</span>}
              {!id.includes(name) && <div class="quiet">{name}</div>}
            </div>,
            <div class="when">
              <RunProgress id={id} {...progress} />
            </div>,
            command,
            <span class="when">{timeOf(started)}</span>,
            <span class="when">{ago(changed)}</span>,
            seed,
          ])}
        />
      )}
      <Pages page={page} pages={pages} set={(one) => change({ page: one })} words={['Newer', 'Older']} />
    </main>
  );
}

function RunProgress({ id, step, steps, secondsLeft }: Pick<ListedRun, 'id' | 'step' | 'steps' | 'secondsLeft'>) {
  if (step === null) return <>–</>;
  if (steps === null) return <>step {step.toLocaleString()}</>;
  return (
    <>
      <progress value={step} max={steps} aria-label={`Progress of ${id}: step ${step} of ${steps}`} />
      <div class="quiet">
        {percent(Math.min(1, step / steps), 0)}
        {secondsLeft !== null && `, ${timeLeft(secondsLeft)} left`}
      </div>
    </>
  );
}

function timeLeft(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

const timeOf = (iso: string) => new Date(iso).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });

function ago(time: number): string {
  const seconds = Math.max(0, (Date.now() - time) / 1000);
  if (seconds < 60) return 'just now';
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}
