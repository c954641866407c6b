/** What every route of the studio's server shares. */
import type { Context } from 'hono';
import type { z } from 'zod';
import { HeedError } from '../../error.ts';
import { mayAs, type Person, type Role } from '../people.ts';
import { findProject, type Project } from '../project.ts';
import type { Database } from '../store/database.ts';

export interface Variables {
  /** Who asks; unset before they have signed in. */
  person?: Person;
  /** Of a session by cookie: what a change has to send along. */
  csrf?: string;
}
export type Env = { Variables: Variables };

/** An answer other than 200, with what to say. */
export class HttpError extends HeedError {
  readonly status: 400 | 401 | 403 | 404 | 409 | 413 | 429;

  constructor(status: HttpError['status'], message: string, hint?: string) {
    super(message, { hint });
    this.status = status;
  }
}

/** @throws HttpError 401 where nobody is signed in, 403 where they may not. */
export function personOf(context: Context<Env>, needed: Role = 'annotator'): Person {
  const person = context.get('person');
  if (!person)
    throw new HttpError(
      401,
      'Nobody is signed in.',
      'Open the link that heed studio printed, or sign in with your token.',
    );
  if (mayAs(person.role, needed)) return person;
  throw new HttpError(403, `This takes a ${needed}; ${person.name} is ${person.role}.`, 'Ask an owner of the studio.');
}

/** The request's body, checked. @throws HttpError 400 */
export async function bodyOf<S extends z.ZodType>(context: Context<Env>, schema: S): Promise<z.output<S>> {
  let value: unknown;
  try {
    value = await context.req.json();
  } catch {
    throw new HttpError(400, 'The body is not JSON.');
  }
  return parsed(schema, value);
}

/** @throws HttpError 400 naming the field. */
export function parsed<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  const { path, message } = error.issues[0];
  throw new HttpError(400, `${path.join('.') || 'The body'}: ${message}`);
}

/** The project of that name. @throws HttpError 404 */
export async function projectOf(database: Database, name: string): Promise<Project> {
  try {
    return await findProject(database, name);
  } catch (error) {
    // which projects there are is not for everybody
    throw error instanceof HeedError ? new HttpError(404, `There is no project "${name}".`) : error;
  }
}
