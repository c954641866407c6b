/** The studio's server, as the page asks it. */
import type { Answer, Content, Vote } from '../../feedback/judgment.ts';
import type { Person } from '../../feedback/people.ts';
import type { ProjectSettings } from '../../feedback/project.ts';

export type { Answer, Content, Option, PairChoice, Vote } from '../../feedback/judgment.ts';
export type { Person } from '../../feedback/people.ts';
export type { ProjectSettings } from '../../feedback/project.ts';

export interface Summary {
  id: string;
  name: string;
  kind: ProjectSettings['kind'];
  items: number;
  answered: number;
  labels: number;
  budget?: number;
  people: number;
}

export interface ProjectView {
  id: string;
  name: string;
  settings: ProjectSettings;
  guidelines: { version: number; text: string };
  progress: Summary & { mine: number };
}

export interface Assignment {
  item: { id: string; content: Content; practice: boolean };
  /** In which order to show the options. */
  shown: number[];
  expires: number;
}

export interface Recorded {
  seq: number;
  answered: number;
  gold?: Answer;
  others?: { person: string; vote: Vote }[];
}

/** What went wrong, in words for a person. */
export class ApiError extends Error {
  readonly status: number;
  readonly hint: string | undefined;
  constructor(status: number, message: string, hint?: string) {
    super(message);
    this.status = status;
    this.hint = hint;
  }
}

let csrf = '';

interface Asked {
  method?: string;
  body?: unknown;
  signal?: AbortSignal;
}

export async function api<T>(path: string, asked: Asked = {}): Promise<T> {
  return (await answered(path, asked)).json();
}

/** Values as they come, one in each line. */
export async function* streamed<T>(path: string, body: unknown, signal: AbortSignal): AsyncGenerator<T> {
  const { body: bytes } = await answered(path, { body, signal });
  const reader = bytes!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    const lines = (rest + read.value).split('\n');
    rest = lines.pop()!;
    for (const line of lines) yield JSON.parse(line);
  }
}

async function answered(path: string, { method, body, signal }: Asked): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(`/api${path}`, {
      method: method ?? (body === undefined ? 'GET' : 'POST'),
      headers: { 'content-type': 'application/json', 'x-heed-csrf': csrf },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
    });
  } catch {
    throw new ApiError(
      0,
      'The studio cannot be reached.',
      'Is it still running? What you answer is kept here until it is back.',
    );
  }
  if (response.ok) return response;
  const value = await response.json().catch(() => undefined);
  throw new ApiError(
    response.status,
    value?.error?.message ?? `The studio says ${response.status}.`,
    value?.error?.hint,
  );
}

interface Session {
  person: Person;
  csrf: string;
}

const begun = ({ person, csrf: word }: Session): Person => {
  csrf = word;
  return person;
};

/** Who is signed in; undefined where nobody is. */
export async function whoIsThere(): Promise<Person | undefined> {
  try {
    return begun(await api<Session>('/session'));
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return undefined;
    throw error;
  }
}

export const signIn = async (token: string): Promise<Person> =>
  begun(await api<Session>('/session', { body: { token } }));
export const signOut = (): Promise<unknown> => api('/session', { method: 'DELETE' });

export const pathOf = (project: string): string => `/projects/${encodeURIComponent(project)}`;
