/** Judgments that wait in the browser until they have arrived: for one person alone, whoever else signs in there. */
import {
  inProject,
  type JudgmentOrSkip,
  type JudgmentReceipt,
  json,
  type Person,
  projectApi,
  type RefusedCall,
} from '../page/api.ts';
import { draftOf, dropDrafts } from './drafts.ts';

/** A request that waits to be sent. Its form is kept in the browser's storage. */
export type Outgoing =
  | {
      what: 'judgments';
      body: {
        id: string;
        item: string;
        judgment: JudgmentOrSkip;
        shown: number[];
        duration: number;
        suggested: boolean;
        critiquesSeen?: boolean;
        /** Version of the guidelines that was on the screen. */
        guidelines: number;
      };
    }
  | { what: 'undo'; body: { id: string; item: string } };

type Someone = Pick<Person, 'id'>;

const prefixOf = ({ id }: Someone) => `heed judgments ${id} `;
const keyOf = (person: Someone, project: string) => `${prefixOf(person)}${project}`;

/** What waits in a project, in order. */
export const waitingIn = (person: Someone, project: string): Outgoing[] =>
  JSON.parse(localStorage.getItem(keyOf(person, project)) ?? '[]');

/** Whether nothing is kept any more: the person is signing out. */
let closed = false;

/** Keeps what waits in a project. */
export function keepWaiting(person: Someone, project: string, waiting: readonly Outgoing[]): void {
  if (closed) return;
  if (waiting.length > 0) localStorage.setItem(keyOf(person, project), JSON.stringify(waiting));
  else localStorage.removeItem(keyOf(person, project));
}

/** Sends what waits. @throws ApiError */
export const sendOutgoing = (project: string, { what, body }: Outgoing): Promise<JudgmentReceipt> =>
  what === 'judgments'
    ? json(projectApi.judgments.$post({ ...inProject(project), json: body }))
    : json(projectApi.undo.$post({ ...inProject(project), json: body }));

/** Forgets the draft of a judgment that has arrived, unless it is taken back in what still waits. */
export function forgetDraft(person: Someone, project: string, sent: Outgoing, waiting: readonly Outgoing[]): void {
  if (sent.what !== 'judgments' || waiting.some(({ what, body }) => what === 'undo' && body.item === sent.body.item))
    return;
  draftOf(person, project, sent.body.item).sent();
}

/** Whether a request that failed may pass later: it did not reach the studio, or the studio cannot take it now. */
export const mayPassLater = ({ status }: RefusedCall): boolean => status === 0 || status === 401 || status >= 429;

const projectsOf = (person: Someone) =>
  Object.keys(localStorage)
    .filter((key) => key.startsWith(prefixOf(person)))
    .map((key) => key.slice(prefixOf(person).length));

/**
 * Sends what waits in all projects, for some milliseconds at most. Returns how many judgments are left, and why the first
 * of them was not taken. An item is judged or taken back once, however often it is sent.
 */
export async function sendWaiting(
  person: Someone,
  milliseconds = 10_000,
): Promise<{ left: number; failure: RefusedCall | undefined }> {
  let failure: RefusedCall | undefined;
  const sendAll = async () => {
    for (const project of projectsOf(person)) {
      for (const next of waitingIn(person, project)) {
        try {
          await sendOutgoing(project, next);
        } catch (error) {
          failure ??= error as RefusedCall;
          if (mayPassLater(error as RefusedCall)) break;
          continue;
        }
        const rest = waitingIn(person, project).filter(({ body }) => body.id !== next.body.id);
        keepWaiting(person, project, rest);
        forgetDraft(person, project, next, rest);
      }
    }
  };
  let timer: ReturnType<typeof setTimeout> | undefined;
  await Promise.race([
    sendAll(),
    new Promise((resolve) => {
      timer = setTimeout(resolve, milliseconds);
    }),
  ]);
  clearTimeout(timer);
  const left = projectsOf(person).reduce((sum, project) => sum + waitingIn(person, project).length, 0);
  return { left, failure };
}

/** Deletes what waits of a person, and their drafts; nothing is kept from then on, until the page is loaded again. */
export function dropWaiting(person: Someone): void {
  closed = true;
  for (const project of projectsOf(person)) localStorage.removeItem(keyOf(person, project));
  dropDrafts(person);
}
