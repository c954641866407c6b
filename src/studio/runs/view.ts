/** What of the runs is looked at: kept in the address, so that a reload or a link shows the same. */

export const PARTS = ['curves', 'histograms', 'samples', 'settings'] as const;
type Part = (typeof PARTS)[number];

export interface RunsView {
  /** One, or several over one another; none for the list. */
  runs: string[];
  part: Part;
  search: string;
  page: number;
  /** Picked in the list. */
  picked: string[];
  /** What curves lie along: step, time, labels. */
  by: string;
  log: boolean;
  /** 0 to 1: the share that the mean so far keeps. */
  smooth: number;
  /** Shows metrics with this in their names. */
  find: string;
  from?: number;
  to?: number;
  /** Which samples. */
  of?: string;
  kind?: string;
  steps: number[];
  sample: number;
}

/** Changes what is looked at. */
export type Change = (what: Partial<RunsView>) => void;

/** Reads `#/runs/ID,ID?name=value&…`. */
export function viewOf(hash: string): RunsView {
  const [path, query = ''] = hash.replace(/^#\/runs\/?/, '').split('?');
  const given = new URLSearchParams(query);
  const number = (name: string) => {
    const text = given.get(name);
    return text === null || !Number.isFinite(Number(text)) ? undefined : Number(text);
  };
  const listed = (text: string | null) => (text ? text.split(',') : []);
  return {
    runs: listed(path).map(decodeURIComponent),
    part: PARTS.find((part) => part === given.get('part')) ?? 'curves',
    search: given.get('search') ?? '',
    page: Math.max(0, Math.floor(number('page') ?? 0)),
    picked: listed(given.get('picked')).map(decodeURIComponent),
    by: given.get('by') ?? 'step',
    log: given.has('log'),
    smooth: Math.min(0.999, Math.max(0, number('smooth') ?? 0.6)),
    find: given.get('find') ?? '',
    from: number('from'),
    to: number('to'),
    of: given.get('of') ?? undefined,
    kind: given.get('kind') ?? undefined,
    steps: listed(given.get('steps')).map(Number).filter(Number.isFinite),
    sample: Math.max(0, Math.floor(number('sample') ?? 0)),
  };
}

/** The address of a view; what is as usual is left out. */
export function hashOf(view: RunsView): string {
  const usual = viewOf('#/runs');
  const given = new URLSearchParams();
  const names = ['part', 'search', 'page', 'by', 'smooth', 'find', 'from', 'to', 'of', 'kind', 'sample'] as const;
  for (const name of names) if (view[name] !== usual[name]) given.set(name, String(view[name]));
  if (view.log) given.set('log', '');
  if (view.steps.length > 0) given.set('steps', view.steps.join(','));
  if (view.picked.length > 0) given.set('picked', view.picked.map(encodeURIComponent).join(','));
  const query = given.toString();
  const path = view.runs.map(encodeURIComponent).join(',');
  return `#/runs${path && `/${path}`}${query && `?${query}`}`;
}

/** The address of runs, seen as they are at first. */
export const linkTo = (...runs: string[]): string => hashOf({ ...viewOf('#/runs'), runs });
