/**
 * Feedback tokens: what a page in a browser may hold in place of an API key. A token names completions, the pseudonym of
 * the user who got them, and a time; an HMAC (RFC 2104, SHA-256) over these proves that the server issued it. It allows
 * feedback about these completions by this user, and nothing else.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';

const PREFIX = 'heed-fb.';

const grantSchema = z.object({
  /** Ids of completions. */
  c: z.array(z.string()),
  /** Pseudonym of the user. */
  u: z.string(),
  /** When it expires, in milliseconds since 1970. */
  e: z.number(),
});

/** What a feedback token allows. */
export interface FeedbackGrant {
  /** Ids of the completions that feedback may be about. */
  completions: readonly string[];
  /** Pseudonym of the user whose feedback it is. */
  user: string;
  /** When it expires, in milliseconds since 1970. */
  expires: number;
}

/** Issues and reads feedback tokens with one secret. */
export interface FeedbackTokens {
  /** The token for a grant. */
  issue(grant: FeedbackGrant): string;
  /** The grant of a token; undefined if it was not issued here, was changed, or has expired. */
  read(token: string, time?: number): FeedbackGrant | undefined;
}

/** Whether a text claims to be a feedback token. */
export const isFeedbackToken = (text: string): boolean => text.startsWith(PREFIX);

/** Feedback tokens that only this secret can issue. */
export function createFeedbackTokens(secret: string): FeedbackTokens {
  const sign = (body: string) => createHmac('sha256', secret).update(`feedback token ${body}`).digest();
  return {
    issue({ completions, user, expires }) {
      const body = Buffer.from(JSON.stringify({ c: completions, u: user, e: expires })).toString('base64url');
      return `${PREFIX}${body}.${sign(body).toString('base64url')}`;
    },
    read(token, time = Date.now()) {
      const [body, mac, ...rest] = token.slice(PREFIX.length).split('.');
      if (!isFeedbackToken(token) || !mac || rest.length > 0) return undefined;
      const [expected, theirs] = [sign(body), Buffer.from(mac, 'base64url')];
      if (expected.length !== theirs.length || !timingSafeEqual(expected, theirs)) return undefined;
      const {
        c: completions,
        u: user,
        e: expires,
      } = grantSchema.parse(JSON.parse(Buffer.from(body, 'base64url').toString()));
      return expires > time ? { completions, user, expires } : undefined;
    },
  };
}

/** A name for a user that says nothing about them to anybody without the secret. */
export const pseudonymOf = (secret: string, user: string): string =>
  `user-${createHmac('sha256', secret).update(`user ${user}`).digest('hex').slice(0, 20)}`;
