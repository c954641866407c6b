/** The studio's interface from a script, by a person's token. */
import { HeedError, messageOf } from '../error.ts';
import type { Disagreement } from './items/adjudication.ts';
import type { NewItem } from './items/items.ts';
import type { NewVote, Recorded } from './items/record.ts';
import type { Content } from './judgment.ts';
import type { Person, Role } from './people.ts';
import type { Guidelines, Project, ProjectInput, SettingsChanges } from './project.ts';
import type { QualityReport } from './quality/report.ts';

/** How far a project is. */
export interface ProjectSummary {
  id: string;
  name: string;
  kind: Project['settings']['kind'];
  items: number;
  /** Items with all the answers that are wanted. */
  answered: number;
  labels: number;
  budget?: number;
  people: number;
}

/** An item held for a person, without what would tell too much. */
export interface Asked {
  item: { id: string; content: Content; practice: boolean };
  /** In which order to show the options. */
  shown: number[];
  /** Until when it is held, in milliseconds since 1970. */
  expires: number;
}

/** Something that happened in a project. What else it tells depends on its kind and on the listener's role. */
export interface StudioEvent {
  kind: 'open' | 'vote' | 'votes' | 'items' | 'settings' | 'guidelines' | 'priorities' | 'decided';
  /** To go on from. */
  id: string;
  [detail: string]: unknown;
}

/** What the studio refused, and why. */
export class ClientError extends HeedError {
  readonly status: number;
  constructor(status: number, message: string, hint?: string) {
    super(message, { hint });
    this.status = status;
  }
}

export type Client = ReturnType<typeof createClient>;

/**
 * Asks a studio by HTTP. Votes may be sent again after a failure: an id is one vote.
 *
 * @throws HeedError from each call where the studio cannot be reached, ClientError where it refuses.
 */
export function createClient({ url, token }: { url: string; token: string }) {
  const base = `${url.replace(/\/+$/, '')}/api`;

  async function send(path: string, init: RequestInit = {}): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(`${base}${path}`, {
        ...init,
        headers: { ...init.headers, authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      });
    } catch (cause) {
      if (init.signal?.aborted) throw cause;
      throw new HeedError(`The studio at ${url} cannot be reached: ${messageOf(cause)}`, {
        hint: 'Is it running? heed studio prints its address.',
        cause,
      });
    }
    if (response.ok) return response;
    const said = (await response.json().catch(() => undefined)) as
      | { error?: { message?: string; hint?: string } }
      | undefined;
    throw new ClientError(
      response.status,
      said?.error?.message ?? `The studio answered ${response.status}.`,
      said?.error?.hint,
    );
  }
  const call = async <T>(method: string, path: string, body?: unknown): Promise<T> =>
    (await send(path, { method, body: JSON.stringify(body) })).json() as Promise<T>;
  const of = (project: string, what = '') => `/projects/${encodeURIComponent(project)}${what}`;
  const who = (name: string) => `/people/${encodeURIComponent(name)}`;

  return {
    /** Who the token is of. */
    session: () => call<{ person: Person }>('GET', '/session'),
    projects: () => call<ProjectSummary[]>('GET', '/projects'),
    project: (name: string) =>
      call<Project & { guidelines: Pick<Guidelines, 'version' | 'text'>; progress: ProjectSummary & { mine: number } }>(
        'GET',
        of(name),
      ),
    createProject: (name: string, options: { settings?: ProjectInput; guidelines?: string } = {}) =>
      call<ProjectSummary>('POST', '/projects', { name, ...options }),
    changeSettings: (project: string, changes: SettingsChanges) => call<Project>('PATCH', of(project), changes),
    writeGuidelines: (project: string, text: string) => call<Guidelines>('PUT', of(project, '/guidelines'), { text }),
    /** At most 10,000 at once. */
    addItems: (project: string, items: readonly NewItem[]) =>
      call<{ added: number; known: number }>('POST', of(project, '/items'), { items }),
    /** By the items' ids: the highest comes first. */
    setPriorities: (project: string, priorities: Readonly<Record<string, number>>) =>
      call<{ items: number }>('POST', of(project, '/priorities'), { priorities }),
    next: async (project: string, count = 1) =>
      (await call<{ assignments: Asked[] }>('POST', of(project, '/next'), { count })).assignments,
    vote: (project: string, vote: NewVote) => call<Recorded>('POST', of(project, '/votes'), vote),
    undo: (project: string, vote: { id: string; item: string }) => call<Recorded>('POST', of(project, '/undo'), vote),
    quality: (project: string) => call<QualityReport>('GET', of(project, '/quality')),
    disagreements: (project: string) => call<Disagreement[]>('GET', of(project, '/disagreements')),
    adjudicate: (project: string, vote: NewVote) => call<Recorded>('POST', of(project, '/adjudicate'), vote),
    people: () => call<(Person & { active: boolean; created: number })[]>('GET', '/people'),
    addPerson: (name: string, role: Role = 'annotator') =>
      call<{ person: Person; token: string }>('POST', '/people', { name, role }),
    changeRole: (name: string, role: Role) => call<Person>('PATCH', who(name), { role }),
    newToken: (name: string) => call<{ person: Person; token: string }>('POST', `${who(name)}/token`),
    removePerson: (name: string) => call<object>('DELETE', who(name)),
    /** What happens from now on, or after the event with the id `after`, until the signal or the studio ends it. */
    async *events(
      project: string,
      { after, signal }: { after?: string; signal?: AbortSignal } = {},
    ): AsyncGenerator<StudioEvent> {
      const headers: Record<string, string> = after === undefined ? {} : { 'last-event-id': after };
      const response = await send(`/events?project=${encodeURIComponent(project)}`, { headers, signal });
      let text = '';
      for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
        const blocks = (text + part).split('\n\n');
        text = blocks.pop()!;
        for (const block of blocks) {
          const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1];
          const data = field('data');
          if (data !== undefined) yield { ...JSON.parse(data), id: field('id')! };
        }
      }
    },
  };
}
