/** What the page of runs shows: kept in the address, so that a reload or a link shows the same. */

/** The tabs of a run. */
export const PARTS = ['curves', 'histograms', 'samples', 'settings'] as const;
type Part = (typeof PARTS)[number];

/** What the page shows. */
export interface RunsView {
  /** Ids of the runs; none for the list. */
  runs: string[];
  part: Part;
  search: string;
  page: number;
  /** Ids of the runs selected in the list. */
  picked: string[];
  /** The x axis of curves: step, time, labels or tokens. */
  by: string;
  log: boolean;
  /** Smoothing: the share that the running mean keeps, from 0 to 1; undefined where nobody has chosen. */
  smooth?: number;
  /** Words that the names of shown metrics contain. */
  find: string;
  from?: number;
  to?: number;
  /** Run whose samples are shown. */
  of?: string;
  kind?: string;
  steps: number[];
  sample: number;
}

/** Smoothing where nobody has chosen, for curves of many points: it would falsify a few. */
const SMOOTH = { share: 0.6, points: 50 };

/** The smoothing of a curve with so many points. */
export const smoothingOf = ({ smooth }: Pick<RunsView, 'smooth'>, points: number): number =>
  smooth ?? (points >= SMOOTH.points ? SMOOTH.share : 0);

/** Changes what the page shows. */
export type ChangeView = (what: Partial<RunsView>) => void;

/** Reads `#/runs/ID,ID?name=value&…`. */
export function viewOf(hash: string): RunsView {
  const [path, query = ''] = hash.replace(/^#\/runs\/?/, '').split('?');
  const params = new URLSearchParams(query);
  const number = (name: string) => {
    const text = params.get(name);
    return text === null || !Number.isFinite(Number(text)) ? undefined : Number(text);
  };
  const listed = (text: string | null) => (text ? text.split(',') : []);
  return {
    runs: listed(path).map(decodeURIComponent),
    part: PARTS.find((part) => part === params.get('part')) ?? 'curves',
    search: params.get('search') ?? '',
    page: Math.max(0, Math.floor(number('page') ?? 0)),
    picked: listed(params.get('picked')).map(decodeURIComponent),
    by: params.get('by') ?? 'step',
    log: params.has('log'),
    smooth: number('smooth') === undefined ? undefined : Math.min(0.999, Math.max(0, number('smooth')!)),
    find: params.get('find') ?? '',
    from: number('from'),
    to: number('to'),
    of: params.get('of') ?? undefined,
    kind: params.get('kind') ?? undefined,
    steps: listed(params.get('steps')).map(Number).filter(Number.isFinite),
    sample: Math.max(0, Math.floor(number('sample') ?? 0)),
  };
}

/** The address of a view, without values that are the default. */
export function addressHash(view: RunsView): string {
  const defaults = viewOf('#/runs');
  const params = new URLSearchParams();
  const names = ['part', 'search', 'page', 'by', 'smooth', 'find', 'from', 'to', 'of', 'kind', 'sample'] as const;
  for (const name of names) if (view[name] !== defaults[name]) params.set(name, String(view[name]));
  if (view.log) params.set('log', '');
  if (view.steps.length > 0) params.set('steps', view.steps.join(','));
  if (view.picked.length > 0) params.set('picked', view.picked.map(encodeURIComponent).join(','));
  const query = params.toString();
  const path = view.runs.map(encodeURIComponent).join(',');
  return `#/runs${path && `/${path}`}${query && `?${query}`}`;
}

/** The address of runs in the default view. */
export const linkTo = (...runs: string[]): string => addressHash({ ...viewOf('#/runs'), runs });
