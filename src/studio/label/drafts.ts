/**
 * What somebody has written and not sent: kept in the browser beside the outbox, for each item and person, so that it
 * survives a reload, a crash and an expired session. It goes when the judgment has arrived.
 */
import type { Span } from '../../feedback/judgment.ts';
import type { JudgmentOrSkip, Person } from '../page/api.ts';

/** The fields of an item that are written. `text` is a correction or a demonstration, `better` a response for a pair. */
export interface Written {
  text?: string;
  better?: string;
  reason?: string;
  comment?: string;
  spans?: readonly Span[];
}
type Field = keyof Written;

type Someone = Pick<Person, 'id'>;

/** The draft of one person about one item. */
export interface Draft {
  read(): Written;
  /** Keeps a field; an empty one goes. Returns whether the browser keeps it: its storage may be full or forbidden. */
  write<F extends Field>(field: F, value: Written[F]): boolean;
  /** Forgets what went with a judgment. A comment is sent for itself. */
  sent(): void;
  /** Writes what a judgment says, so that it can be changed after an undo. */
  restore(judgment: JudgmentOrSkip): void;
}

const prefixOf = ({ id }: Someone) => `heed draft ${id} `;

/** The draft of a person about an item of a project. */
export function draftOf(person: Someone, project: string, item: string): Draft {
  const key = `${prefixOf(person)}${item} ${project}`;
  const read = (): Written => JSON.parse(localStorage.getItem(key) ?? '{}');
  const keep = (written: Written): boolean => {
    try {
      if (Object.keys(written).length > 0) localStorage.setItem(key, JSON.stringify(written));
      else localStorage.removeItem(key);
      return true;
    } catch {
      return false;
    }
  };
  return {
    read,
    write(field, value) {
      const { [field]: _, ...others } = read();
      const isEmpty = value === undefined || value.length === 0;
      return keep(isEmpty ? others : { ...others, [field]: value });
    },
    sent() {
      const { comment } = read();
      keep(comment === undefined ? {} : { comment });
    },
    restore(judgment) {
      const { comment } = read();
      keep({ ...(comment !== undefined && { comment }), ...wordsOf(judgment) });
    },
  };
}

/** What a judgment says in words. */
export const wordsOf = (judgment: JudgmentOrSkip): Written => ({
  ...(judgment.reason !== undefined && { reason: judgment.reason }),
  ...('text' in judgment && { text: judgment.text }),
  ...(judgment.kind === 'pair' && judgment.better !== undefined && { better: judgment.better }),
  ...('spans' in judgment && judgment.spans && { spans: judgment.spans }),
});

const keysOf = (person: Someone) => Object.keys(localStorage).filter((key) => key.startsWith(prefixOf(person)));

/** How many items a person has written about without sending it. */
export const countDrafts = (person: Someone): number => keysOf(person).length;

/** Deletes what a person has written and not sent. */
export function dropDrafts(person: Someone): void {
  for (const key of keysOf(person)) localStorage.removeItem(key);
}
