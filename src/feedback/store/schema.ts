/**
 * The store's tables. Times are milliseconds since 1970 (UTC). Columns named `…Json` hold JSON, checked when it is
 * written or read.
 */
import type { Generated } from 'kysely';

/** The columns of each table. */
export interface Tables {
  projects: {
    id: string;
    name: string;
    settingsJson: string;
    created: number;
  };
  /**
   * Guidelines for annotators. A change is a new version, and every judgment refers to the version it was made under.
   */
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
    /** Hash of the content: the same content is one item. */
    key: string;
    contentJson: string;
    source: string | null;
    topic: string | null;
    metadataJson: string | null;
    /** The right judgment of a gold item, which looks like any other and measures how reliable annotators are. */
    goldJson: string | null;
    /** 1 for gold items that annotators practice on: shown first, with the right judgment afterwards. */
    practice: number;
    /** Items with a higher priority come first. */
    priority: number;
    /** Judgments plus leases. Below the project's overlap, somebody else can get the item. */
    taken: number;
    /** Judgments. */
    answered: number;
    /** Judgments the project asks for: an item with that many leaves the queue. */
    wanted: number;
    /** The reviewer who decided a disagreement: their judgment is the item's. */
    decidedBy: string | null;
    /** 1 if nobody gets the item any more. */
    closed: number;
    created: number;
  };
  people: {
    id: string;
    name: string;
    role: string;
    /** Hash of the token they sign in with; null if their access was revoked. */
    tokenHash: string | null;
    created: number;
  };
  sessions: {
    /** Hash of the cookie's value. */
    hash: string;
    person: string;
    /** The value that requests which change something must send. */
    csrf: string;
    created: number;
    expires: number;
  };
  /** Which person has which item reserved, and until when. */
  leases: {
    item: string;
    person: string;
    project: string;
    expires: number;
  };
  /** Every judgment, skip and undo there ever was: rows are added, never changed. */
  votes: {
    seq: Generated<number>;
    /** Chosen by the sender, so that a judgment sent twice is recorded once. */
    id: string;
    project: string;
    item: string;
    person: string;
    /** "answer" for a judgment, "skip" or "undo". */
    kind: string;
    answerJson: string;
    /** The order in which the options were shown: `[1, 0]` had the second on the left. */
    shownJson: string | null;
    /** Milliseconds from seeing the item to judging it. */
    duration: number | null;
    guidelines: number;
    created: number;
  };
  /** The judgment that counts, for each person and item. */
  answers: {
    item: string;
    person: string;
    project: string;
    vote: number;
    /** "answer" for a judgment, or "skip". */
    kind: string;
    answerJson: string;
    created: number;
  };
  /** Running counts for each person in a project. */
  tallies: {
    project: string;
    person: string;
    /** Items they have judged or skipped. */
    given: number;
    /** Their judgments that count, of items that are not gold. */
    labels: number;
  };
  /** Two responses of a model that somebody has seen and not chosen from yet. */
  turns: {
    id: string;
    person: string;
    contentJson: string;
    created: number;
  };
  /** The audit trail: what was done to the store besides judgments, and by whom. */
  events: {
    seq: Generated<number>;
    project: string | null;
    person: string | null;
    kind: string;
    detailJson: string;
    created: number;
  };
}
