/** An OpenID provider in this process (`oidc-provider`), whose people sign in without being asked. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type Provider from 'oidc-provider';
import { eventually } from './eventually.ts';

/** What the provider says of an account. */
export interface Account {
  preferred_username?: string;
  email?: string;
  email_verified?: boolean;
  groups?: string[];
}

export const CLIENT = { client_id: 'heed', client_secret: 'a secret of this test that appears in no output' };

/** Node 20 has no `URL.parse`, which the provider calls. */
URL.parse ??= (url, base) => (URL.canParse(url, base) ? new URL(url, base) : null);

export async function startProvider() {
  const { default: OidcProvider } = await import('oidc-provider');
  const accounts = new Map<string, Account>();
  let provider: Provider | undefined;
  let server: Server;
  /** Who signs in next. */
  let who = '';
  let codeSeconds = 600;

  async function listen(port: number): Promise<number> {
    server = createServer(async (request, response) => {
      if (!request.url!.startsWith('/interaction/')) return provider!.callback()(request, response);
      await provider!.interactionFinished(request, response, { login: { accountId: who } });
    }).listen(port, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }
  const stop = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };

  const port = await listen(0);
  const issuer = `http://127.0.0.1:${port}`;
  return {
    issuer,
    accounts,
    /** Makes the studio at an address the provider's client. */
    register(studio: string): void {
      const own: Provider = new OidcProvider(issuer, {
        clients: [
          {
            ...CLIENT,
            redirect_uris: [`${studio}/api/session/oidc/callback`],
            post_logout_redirect_uris: [`${studio}/`],
          },
        ],
        claims: {
          openid: ['sub'],
          profile: ['preferred_username', 'groups'],
          email: ['email', 'email_verified'],
        },
        findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId, ...accounts.get(accountId) }) }),
        async loadExistingGrant({ oidc }) {
          const grant = new own.Grant({ clientId: oidc.client!.clientId, accountId: oidc.session!.accountId });
          grant.addOIDCScope('openid profile email');
          await grant.save();
          return grant;
        },
        features: { devInteractions: { enabled: false } },
        interactions: { url: (_, { uid }) => `/interaction/${uid}` },
        pkce: { required: () => true },
        ttl: {
          AuthorizationCode: () => codeSeconds,
          IdToken: 600,
          AccessToken: 600,
          Session: 600,
          Grant: 600,
          Interaction: 600,
        },
        cookies: { keys: ['keys of cookies of a test'] },
      });
      provider = own;
    },
    signsIn(account: string): void {
      who = account;
    },
    codesLast(seconds: number): void {
      codeSeconds = seconds;
    },
    stop,
    /** Begins again at the same port, once nobody else has it. */
    again: () => eventually(() => listen(port)),
  };
}

/** A browser as far as signing in goes: it keeps cookies and follows redirects. Paths of cookies are honored. */
export function createBrowser() {
  const cookies = new Map<string, { value: string; path: string }>();
  const browser = {
    cookies,
    /** One request, without following a redirect. */
    async request(url: string, init: RequestInit = {}): Promise<Response> {
      const { pathname } = new URL(url);
      const sent = [...cookies].filter(([, { path }]) => pathname.startsWith(path));
      const response = await fetch(url, {
        ...init,
        redirect: 'manual',
        headers: {
          'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
          ...(sent.length > 0 && { cookie: sent.map(([name, { value }]) => `${name}=${value}`).join('; ') }),
          ...(init.headers as Record<string, string>),
        },
      });
      for (const line of response.headers.getSetCookie()) {
        const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!;
        const path = /; path=([^;]+)/i.exec(line)?.[1] ?? '/';
        if (value === '' || /max-age=0|expires=Thu, 01 Jan 1970/i.test(line)) cookies.delete(name);
        else cookies.set(name, { value, path });
      }
      return response;
    },
    /** Follows redirects until `stop` says so, or there is none. */
    async open(
      url: string,
      stop: (url: string) => boolean = () => false,
    ): Promise<{ url: string; response: Response }> {
      for (let at = url; ; ) {
        const response = await browser.request(at);
        const location = response.headers.get('location');
        if (location === null) return { url: at, response };
        await response.body?.cancel();
        at = new URL(location, at).href;
        if (stop(at)) return { url: at, response };
      }
    },
  };
  return browser;
}
