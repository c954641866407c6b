/** The store's tables. Times are milliseconds since 1970 (UTC); columns named `…Json` hold JSON, checked when it is read or written. */
import type { Generated } from 'kysely';

export interface Tables {
  projects: {
    id: string;
    name: string;
    settingsJson: string;
    created: number;
  };
  /** What people are told to go by; a change is a new version, and every vote says which one it was given under. */
  guidelines: {
    project: string;
    version: number;
    text: string;
    created: number;
    person: string | null;
  };
  items: {
    /** Order of arrival. */
    seq: Generated<number>;
    id: string;
    project: string;
    /** Of the content: what is imported twice is one item. */
    key: string;
    contentJson: string;
    source: string | null;
    topic: string | null;
    metadataJson: string | null;
    /** The right answer, where it is known: the item looks like any other, and tells how reliable people are. */
    goldJson: string | null;
    /** Shown first, with the right answer afterwards. */
    practice: number;
    /** Higher comes earlier: what a model says is most informative. */
    priority: number;
    /** Answers there are, and people who hold it now: below the project's overlap somebody else may have it. */
    taken: number;
    /** Answers there are. */
    answered: number;
    /** Answers the project wants of an item: what has so many is not in the queue. */
    wanted: number;
    /** Who decided where the others disagreed: their answer is the item's. */
    decidedBy: string | null;
    /** 1 where nobody is to be asked any more. */
    closed: number;
    created: number;
  };
  people: {
    id: string;
    name: string;
    role: string;
    /** Of the token they sign in with; null where they may not. */
    tokenHash: string | null;
    created: number;
  };
  sessions: {
    /** Of the cookie's value. */
    hash: string;
    person: string;
    /** What a form or script has to send along. */
    csrf: string;
    created: number;
    expires: number;
  };
  /** Who holds which item, until when. */
  leases: {
    item: string;
    person: string;
    project: string;
    expires: number;
  };
  /** Every vote that was ever given, changed or taken back: rows are added, never changed. */
  votes: {
    seq: Generated<number>;
    /** Given by who voted, so that a vote that is sent twice is one. */
    id: string;
    project: string;
    item: string;
    person: string;
    /** An answer, "skip" or "undo". */
    kind: string;
    answerJson: string;
    /** In which order the options were shown: `[1, 0]` had the second on the left. */
    shownJson: string | null;
    /** Milliseconds from the item's appearance to the answer. */
    duration: number | null;
    guidelines: number;
    created: number;
  };
  /** The vote that counts, of each person on each item. */
  answers: {
    item: string;
    person: string;
    project: string;
    vote: number;
    /** "answer" or "skip". */
    kind: string;
    answerJson: string;
    created: number;
  };
  /** What each person has said in a project, counted as they say it. */
  tallies: {
    project: string;
    person: string;
    /** Items they answered or skipped. */
    given: number;
    /** Answers of theirs that count, to items whose answer was not known. */
    labels: number;
  };
  /** Two answers of a model that somebody was shown, and has not chosen from yet. */
  turns: {
    id: string;
    person: string;
    contentJson: string;
    created: number;
  };
  /** What was done to the store besides votes, by whom. */
  events: {
    seq: Generated<number>;
    project: string | null;
    person: string | null;
    kind: string;
    detailJson: string;
    created: number;
  };
}
