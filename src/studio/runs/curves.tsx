/**
 * A panel for each metric, grouped by the first word of its name. A metric is loaded when its panel comes into view.
 */
import { useEffect, useRef, useState } from 'preact/hooks';
import { grouped } from '../../grouped.ts';
import { Field, Select, Tick } from '../page/fields.tsx';
import { Chart, type ChartCurve } from './chart.tsx';
import { loadMetric, type RunDetails } from './data.ts';
import { type ChangeView, type RunsView, smoothingOf } from './view.ts';

interface Props {
  runs: readonly RunDetails[];
  view: RunsView;
  change: ChangeView;
  /** Grows with the rows of the runs. */
  version: number;
}

const AXES = { step: 'Steps', time: 'Time', labels: 'Labels', tokens: 'Tokens' };

/** The tab of curves. */
export function Curves({ runs, view, change, version }: Props) {
  const all = [...new Set(runs.flatMap(({ metrics }) => metrics))];
  const words = view.find.toLowerCase().split(/\s+/).filter(Boolean);
  const names = all.filter((name) => words.every((word) => name.toLowerCase().includes(word)));
  const groups = grouped(names, groupOf);
  return (
    <>
      <Bar metrics={all} view={view} change={change} />
      {all.length === 0 && <p class="quiet">No metrics yet.</p>}
      <div class="groups">
        {[...groups].map(([group, members]) => (
          <section key={group} aria-label={group} class={members.length === 1 ? 'single' : undefined}>
            <h2>{group}</h2>
            <div class="panels">
              {members.map((name) => (
                <Panel key={name} name={name} runs={runs} view={view} change={change} version={version} />
              ))}
            </div>
          </section>
        ))}
      </div>
    </>
  );
}

const groupOf = (name: string): string => (name.includes('/') ? name.slice(0, name.indexOf('/')) : 'others');

function Bar({ metrics, view, change }: { metrics: readonly string[]; view: RunsView; change: ChangeView }) {
  const { by, log, find, from, to } = view;
  const smooth = smoothingOf(view, Number.POSITIVE_INFINITY);
  const axes = Object.entries(AXES).filter(([name]) => name === 'step' || name === 'time' || metrics.includes(name));
  // most of the slider is for strong smoothing, where small changes matter most
  const bent = Math.round(100 * (1 - Math.sqrt(1 - smooth)));
  const edge = (name: 'from' | 'to', label: string) => (
    <label>
      {label}{' '}
      <input
        class="edge"
        type="number"
        step="any"
        value={view[name] ?? ''}
        onChange={({ currentTarget: { value } }) => change({ [name]: value === '' ? undefined : Number(value) })}
      />
    </label>
  );
  return (
    <fieldset class="bar sticky" aria-label="How curves are drawn">
      <label>
        Smoothing{' '}
        <input
          type="range"
          min={0}
          max={96}
          value={bent}
          aria-valuetext={view.smooth === undefined ? 'automatic' : smooth.toFixed(3)}
          onInput={({ currentTarget: { value } }) =>
            change({ smooth: Number((1 - (1 - Number(value) / 100) ** 2).toFixed(4)) })
          }
        />
      </label>
      <Select
        label="X axis"
        value={by}
        options={Object.fromEntries(axes)}
        set={(axis) => change({ by: axis, from: undefined, to: undefined })}
      />
      <Tick label="Log scale" checked={log} set={(on) => change({ log: on })} />
      <Field label="Metrics" type="search" value={find} placeholder="all" set={(words) => change({ find: words })} />
      {edge('from', 'From')}
      {edge('to', 'to')}
      {(from !== undefined || to !== undefined) && (
        <button type="button" onClick={() => change({ from: undefined, to: undefined })}>
          Show all
        </button>
      )}
    </fieldset>
  );
}

function Panel({ name, runs, view, change, version }: Props & { name: string }) {
  const place = useRef<HTMLDivElement>(null);
  const seen = useSeen(place);
  const [curves, setCurves] = useState<ChartCurve[]>();
  const [error, setError] = useState<Error>();
  const drawn = useRef('');
  const { by, smooth: chosen, from, to } = view;
  const target = JSON.stringify([version, by, chosen, from, to]);
  useEffect(() => {
    if (!seen || drawn.current === target) return undefined;
    let here = true;
    const timer = setTimeout(async () => {
      try {
        const smooth = smoothingOf({ smooth: chosen }, Number.POSITIVE_INFINITY);
        const loaded = await Promise.all(
          runs.map(async ({ id, metrics }) => {
            const data = metrics.includes(name) ? await loadMetric(id, name, { by, smooth, from, to }) : undefined;
            return data && smoothingOf({ smooth: chosen }, data.points) === 0 ? { ...data, smooth: undefined } : data;
          }),
        );
        if (!here) return;
        drawn.current = target;
        setCurves(
          loaded.flatMap((data, color) => (data && data.points > 0 ? [{ name: runs[color].id, color, data }] : [])),
        );
        setError(undefined);
      } catch (failure) {
        if (here) setError(failure as Error);
      }
    }, 60); // one request while a slider moves
    return () => {
      here = false;
      clearTimeout(timer);
    };
  }, [seen, target]);
  return (
    <div ref={place} class="panel" data-metric={name}>
      {error && <p class="failure">{error.message}</p>}
      {curves ? (
        <Chart
          title={name}
          curves={curves}
          by={by}
          log={view.log}
          onZoom={(start, end) => change({ from: rounded(start, end), to: rounded(end, start) })}
          onReset={() => change({ from: undefined, to: undefined })}
        />
      ) : (
        <p class="quiet">{name}</p>
      )}
    </div>
  );
}

/** An edge of an interval, with no more digits than the interval can show. */
function rounded(edge: number, other: number): number {
  const digits = Math.max(0, 3 - Math.floor(Math.log10(Math.abs(edge - other) || 1)));
  return Number(edge.toFixed(Math.min(12, digits)));
}

function useSeen(place: { readonly current: HTMLElement | null }): boolean {
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    const observer = new IntersectionObserver((entries) => setSeen(entries.at(-1)!.isIntersecting), {
      rootMargin: '200px',
    });
    observer.observe(place.current!);
    return () => observer.disconnect();
  }, []);
  return seen;
}
