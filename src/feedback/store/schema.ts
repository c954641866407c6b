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
    /** When it was put away: nobody is asked about it any more. */
    archived: number | null;
  };
  /** Names that projects had: they are still found by them, until another project takes one. */
  formerNames: {
    name: string;
    project: string;
  };
  /** The annotators who see a project. Reviewers and owners see all. */
  members: {
    project: string;
    person: string;
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
    /** Scores of the options by a reward model. */
    suggestionJson: string | null;
    /** What a model finds wrong with each option. */
    critiquesJson: string | null;
    /** Items with a higher priority come first. */
    priority: number;
    /** Judgments plus leases. Below the project's overlap, somebody else can get the item. */
    taken: number;
    /** Judgments. */
    answered: number;
    /**
     * Judgments the project asks for: an item with that many leaves the queue. In a project that asks until it is
     * certain, one more than there are, and as many as there are once it is.
     */
    wanted: number;
    /** The reviewer who decided a disagreement. */
    decidedBy: string | null;
    /** Their decision in the record of judgments: it is the item's judgment. */
    decision: number | null;
    /** When it was put away: it counts for nothing, and nobody gets it. */
    archived: number | null;
    /** 1 if nobody gets the item any more. */
    closed: number;
    /** 1 if only the people in `reserved` get it. */
    reserved: Generated<number>;
    created: number;
    /** The person who wrote its content in a chat: it is deleted with what else is theirs. */
    author: string | null;
  };
  people: {
    id: string;
    name: string;
    role: string;
    /** Hash of the token they sign in with; null if their access was revoked. */
    tokenHash: string | null;
    created: number;
    /** When the token expires; null for tokens that are older than this column: they have no date. */
    tokenExpires: number | null;
    /** When the token expires unless it was used before; null once it was used, and for older tokens. */
    tokenUnusedUntil: number | null;
  };
  sessions: {
    /** Hash of the cookie's value. */
    hash: string;
    person: string;
    /** The value that requests which change something must send. */
    csrf: string;
    created: number;
    expires: number;
    /** Names the session in lists; it opens nothing. */
    id: string;
    /** When a request last came with it, to the minute. */
    seen: number;
    /** How the person signed in: a `SignInMethod`. */
    method: string;
    /** Browser and system, such as "Firefox on Linux". */
    device: string | null;
    /** The provider's ID token, which only the cookie's value opens: needed to sign out at the provider. */
    sealed: string | null;
  };
  /** Who a person is at a sign-in provider. */
  identities: {
    issuer: string;
    /** The provider's id of the person. */
    subject: string;
    person: string;
    /** The role that a group at the provider gave at the latest sign-in; null if no group did. */
    groupRole: string | null;
    created: number;
  };
  /** Sign-ins at the provider that have begun. Each is used once. */
  signins: {
    /** Hash of the value of a cookie. */
    hash: string;
    state: string;
    nonce: string;
    /** The secret of PKCE. */
    verifier: string;
    /** The page to open afterwards. */
    page: string;
    /** Who links the provider's account to themselves; null for a sign-in. */
    person: string | null;
    expires: number;
  };
  /** API keys, with which scripts act for a person. */
  keys: {
    id: string;
    person: string;
    name: string;
    /** Hash of the key. */
    hash: string;
    /** `KeyScope[]` */
    scopesJson: string;
    created: number;
    expires: number;
    /** When a request last came with it, to the minute. */
    used: number | null;
  };
  /** Which person has which item reserved, and until when. */
  leases: {
    item: string;
    person: string;
    project: string;
    expires: number;
    /** When the item was handed to the person; null if that is not known. */
    handed: number | null;
  };
  /** Every judgment, skip, undo and decision there ever was: rows are added, never changed. */
  judgments: {
    seq: Generated<number>;
    /** Chosen by the sender, so that a judgment sent twice is recorded once. */
    id: string;
    project: string;
    item: string;
    person: string;
    /** "judgment" for a judgment, "skip", "undo", or "decision" for a reviewer's. */
    kind: string;
    judgmentJson: string;
    /** The order in which the options were shown: `[1, 0]` had the second on the left. */
    shownJson: string | null;
    /** Milliseconds from seeing the item to judging it, as the page measured them. */
    duration: number | null;
    /** When the item had been handed to the person: it bounds the time that counts. Null if it was not, or is not known. */
    handed: number | null;
    /** 1 if the page showed a reward model's suggestion before the judgment. */
    suggested: number | null;
    /** 1 if the page showed a model's critiques before the judgment, 0 if it had some and nobody opened them. */
    critiquesSeen: number | null;
    /** Version of the guidelines that was on the screen. */
    guidelines: number;
    created: number;
  };
  /** The judgment of each annotator on an item that counts. */
  latest: {
    item: string;
    person: string;
    project: string;
    judgment: number;
    /** "judgment" for a judgment, or "skip". */
    kind: string;
    judgmentJson: string;
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
  /** What is estimated of a project's annotators; the person is empty for the project itself. See `certainty.ts`. */
  estimates: {
    project: string;
    person: string;
    valuesJson: string;
  };
  /** The people who alone get an item, if there are any. */
  reserved: {
    item: string;
    person: string;
    project: string;
  };
  /** What people write to each other about items. */
  comments: {
    id: string;
    project: string;
    item: string;
    person: string;
    text: string;
    created: number;
  };
  /** Searches of a project's items that reviewers share. */
  filters: {
    project: string;
    name: string;
    search: string;
    /** Which items: a state of `states.ts`. */
    state: string;
    /** Name of somebody who judged them; empty for anybody. */
    person: string;
    /** What a judgment says: a verdict of `states.ts`; null for anything. */
    verdict: string | null;
    /** An aspect that a judgment rates, from `least` to `most`; null for any. */
    aspect: string | null;
    least: number | null;
    most: number | null;
  };
  /** Where the events of a project are sent, and up to which judgment and line of the audit log they were. */
  webhooks: {
    id: string;
    project: string;
    url: string;
    signingKey: string;
    judgments: number;
    events: number;
    /** Deliveries that failed since the last one that arrived. */
    failures: number;
    /** When the next event may be sent: later after a failure, or while a server sends some. */
    due: number;
    created: number;
  };
  /** How the latest deliveries of webhooks went. */
  deliveries: {
    id: string;
    webhook: string;
    project: string;
    created: number;
    event: string;
    /** The HTTP status; null if there was no response, and `error` says why. */
    status: number | null;
    error: string | null;
  };
  /** Two responses of a model that somebody has seen and not chosen from yet. */
  turns: {
    id: string;
    person: string;
    contentJson: string;
    created: number;
  };
  /**
   * The audit log: what was done to the store besides judgments, and by whom. Each line has the hash of the one before.
   * See `audit-chain.ts`.
   */
  events: {
    /** Position in the log. */
    seq: number;
    project: string | null;
    /** Who did it; null also once this was erased. */
    person: string | null;
    kind: string;
    /** Empty once it was erased. */
    detailJson: string;
    created: number;
    /** Random, part of the digest; null once who did it and the details were erased. */
    salt: string | null;
    /** Digest of who did it and the details. */
    digest: string;
    /** Hash of the line before. */
    previous: string;
    hash: string;
  };
  /** For how long what is kept. See `retention.ts`. */
  retention: {
    /** Id of the project that the rule is for; empty for the store. */
    project: string;
    rule: string;
    days: number;
  };
}
