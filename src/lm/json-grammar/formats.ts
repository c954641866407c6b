/**
 * Formats of strings as regular expressions. Each is a part of what its standard allows: what programs agree on. Formats
 * that are not here say nothing, as the standard has it.
 */

const YEAR = '\\d{4}';
const LEAP = '(\\d\\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)';
const DATE = `(${YEAR}-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|02-(0[1-9]|1\\d|2[0-8]))|${LEAP}-02-29)`;
const TIME = '([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,9})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)';
const BYTE = '(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const IPV4 = `(${BYTE}\\.){3}${BYTE}`;
const GROUP = '[0-9a-fA-F]{1,4}';
const IPV6 = [
  `(${GROUP}:){7}${GROUP}`,
  ...[0, 1, 2, 3, 4, 5, 6].map((before) => {
    const first = before === 0 ? '' : `${GROUP}(:${GROUP}){${before - 1}}`;
    return before === 6 ? `${first}::(${GROUP})?` : `${first}::(${GROUP}(:${GROUP}){0,${5 - before}})?`;
  }),
].join('|');
const LABEL = '[a-zA-Z0-9]([a-zA-Z0-9]|-[a-zA-Z0-9]){0,30}';
const HOST = `(${LABEL}\\.){1,3}[a-zA-Z]{2,20}`;
const PATH = "([a-zA-Z0-9._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2})";
const URI = `https?://${HOST}(:[1-9]\\d{1,3})?(/${PATH}*)*(\\?(${PATH}|/|\\?)*)?(#(${PATH}|/|\\?)*)?`;
const DURATION_TIME = 'T(\\d{1,9}H(\\d{1,9}M(\\d{1,9}S)?)?|\\d{1,9}M(\\d{1,9}S)?|\\d{1,9}S)';
const DURATION = `P(\\d{1,9}W|(\\d{1,9}Y(\\d{1,9}M(\\d{1,9}D)?)?|\\d{1,9}M(\\d{1,9}D)?|\\d{1,9}D)(${DURATION_TIME})?|${DURATION_TIME})`;
const MAILBOX = '[a-zA-Z0-9_+-]{1,30}(\\.[a-zA-Z0-9_+-]{1,15}){0,2}';

const whole = (pattern: string) => `^(?:${pattern})$`;

/** Regular expressions by format. */
export const FORMATS: Readonly<Record<string, string>> = {
  date: whole(DATE),
  time: whole(TIME),
  'date-time': whole(`${DATE}T${TIME}`),
  duration: whole(DURATION),
  email: whole(`${MAILBOX}@${HOST}`),
  'idn-email': whole(`${MAILBOX}@${HOST}`),
  hostname: whole(HOST),
  ipv4: whole(IPV4),
  ipv6: whole(IPV6),
  ipvanyaddress: whole(`${IPV4}|${IPV6}`),
  uuid: whole('[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}'),
  uri: whole(URI),
  url: whole(URI),
  'uri-reference': whole(URI),
  iri: whole(URI),
  'json-pointer': whole('(/([^~/]|~[01])*)*'),
  'json-string': whole('-?[1-9]\\d{0,9}|true|false|null|"[a-zA-Z0-9 ]*"|\\[\\]|\\{\\}'),
  byte: whole('([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?'),
};
