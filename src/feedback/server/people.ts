/** Who there is. */
import { Hono } from 'hono';
import { z } from 'zod';
import { addPerson, changeRole, changeToken, findPerson, listPeople, roles } from '../people.ts';
import type { Database } from '../store/database.ts';
import { bodyOf, type Env, HttpError, personOf } from './context.ts';

export const newPersonSchema = z.object({ name: z.string().max(100), role: z.enum(roles).default('annotator') });

export const roleSchema = z.object({ role: z.enum(roles) });

export function peopleRoutes(database: Database): Hono<Env> {
  return new Hono<Env>()
    .get('/', async (context) => {
      personOf(context, 'reviewer');
      return context.json(await listPeople(database));
    })
    .post('/', async (context) => {
      const by = personOf(context, 'owner');
      const { name, role } = await bodyOf(context, newPersonSchema);
      return context.json(await addPerson(database, name, role, by.id), 201);
    })
    .patch('/:name', async (context) => {
      const by = personOf(context, 'owner');
      const person = await findPerson(database, context.req.param('name'));
      const { role } = await bodyOf(context, roleSchema);
      if (person.id === by.id && role !== 'owner') throw new HttpError(409, 'Nobody can take their own role away.');
      return context.json(await changeRole(database, person, role, by.id));
    })
    .post('/:name/token', async (context) => {
      const by = personOf(context, 'owner');
      const person = await findPerson(database, context.req.param('name'));
      return context.json({ person, token: await changeToken(database, person, 'new', by.id) });
    })
    .delete('/:name', async (context) => {
      const by = personOf(context, 'owner');
      const person = await findPerson(database, context.req.param('name'));
      if (person.id === by.id) throw new HttpError(409, 'Nobody can shut themselves out.');
      await changeToken(database, person, null, by.id);
      return context.json({});
    });
}
