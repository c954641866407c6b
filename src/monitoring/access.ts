/** Who may read metrics: this machine, and whoever holds a token. */
import { createHash, timingSafeEqual } from 'node:crypto';

/** The environment variable with the token that reads metrics. */
export const METRICS_TOKEN = 'HEED_METRICS_TOKEN';

const LOOPBACK = /^(127\.|::1$|::ffff:127\.)/;

/** Headers by which a proxy says for whom it asks. */
const FORWARDED = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'];

/** Whether a request comes from this machine itself, and not from a proxy on it that asks for somebody else. */
export const isLocal = (address: string | undefined, header: (name: string) => string | undefined): boolean =>
  LOOPBACK.test(address ?? '') && FORWARDED.every((name) => header(name) === undefined);

/** The token of an `Authorization` header, if it has one. Names of schemes are the same in any case (RFC 9110, 11.1). */
export const bearerOf = (authorization: string | undefined): string | undefined =>
  /^Bearer +(\S.*)$/i.exec(authorization ?? '')?.[1];

/** Whether a token is the expected one; without an expected one, none is. Takes the same time for every wrong one. */
export const isToken = (token: string | undefined, expected: string | undefined): boolean =>
  token !== undefined && !!expected && timingSafeEqual(digest(token), digest(expected));

const digest = (text: string) => createHash('sha256').update(text).digest();
