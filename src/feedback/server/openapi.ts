/** The studio's HTTP interface as an OpenAPI 3.1 document, from the schemas that the server itself uses. */
import { z } from 'zod';
import { errorResponse, type Operation, operationPaths } from '../../http/operations.ts';
import { disagreementSchema } from '../items/adjudication.ts';
import { itemRecordSchema } from '../items/browse.ts';
import { itemCommentSchema, newCommentSchema } from '../items/comments.ts';
import { savedFilterSchema } from '../items/filters.ts';
import { addedItemsSchema } from '../items/items.ts';
import { newJudgmentSchema, receiptSchema, undoSchema } from '../items/record.ts';
import { apiKeySchema, newKeySchema } from '../keys.ts';
import { accountSchema, personSchema, tokenLifeSchema } from '../people.ts';
import { guidelinesSchema, projectSchema } from '../project.ts';
import { qualityReportSchema } from '../quality/report.ts';
import { annotatorWorkSchema } from '../quality/work.ts';
import { retentionResultSchema, retentionSettingsSchema } from '../retention.ts';
import { type PersonRole, scopeOf } from '../roles.ts';
import { auditEntrySchema } from '../store/audit.ts';
import { auditCheckSchema } from '../store/verify-audit.ts';
import { addedKeySchema, endedSchema, sessionListSchema } from './access.ts';
import { drawSchema, modelSchema, turnSchema } from './chat.ts';
import { emptySchema, type NeededScope, sessionSchema } from './context.ts';
import { eventsSchema } from './events.ts';
import { assignSchema, ownJudgmentsSchema, ownWorkSchema } from './items.ts';
import { machineSchema } from './machine.ts';
import { newPersonSchema, roleSchema, tokenSchema } from './people.ts';
import {
  archiveItemsSchema,
  archiveSchema,
  assignmentsSchema,
  changesSchema,
  confirmSchema,
  countSchema,
  detailsSchema,
  guidelinesTextSchema,
  itemIdsSchema,
  itemListSchema,
  itemsSchema,
  judgmentReceiptSchema,
  listedItemsSchema,
  membersSchema,
  newNameSchema,
  newProjectSchema,
  nextSchema,
  prioritiesSchema,
  projectListSchema,
  ratingLossesSchema,
  suggestionsSchema,
  summarySchema,
  workSchema,
} from './projects.ts';
import { beginSchema, begunSchema } from './provider-sign-in.ts';
import {
  applyRetentionSchema,
  forgetSchema,
  forgottenSchema,
  retentionChangesSchema,
  verifySchema,
} from './records.ts';
import {
  invitedSchema,
  inviteSchema,
  roomPlaySchema,
  roomReceiptSchema,
  roomRequestSchema,
  roomViewSchema,
  undoneSchema,
} from './rooms.ts';
import { metricsSchema, pageSchema, runListSchema, samplesSchema, streamSchema } from './runs.ts';
import { signedOutSchema, signInSchema, waysSchema } from './session.ts';
import { tokensQuerySchema, tokensSchema } from './tokens.ts';
import {
  ARCHIVE_TYPE,
  auditExportSchema,
  auditSchema,
  exportSchema,
  exportToSchema,
  exportTypes,
  importedFromSchema,
  importedSchema,
  importFromSchema,
  importSchema,
  paymentsSchema,
  settingsFormSchema,
  templatesSchema,
} from './transfer.ts';
import { addedWebhookSchema, deliveredSchema, newWebhookSchema, webhooksSchema } from './webhooks.ts';

/** One route of the document. */
interface StudioOperation extends Operation<NeededScope> {
  /** The role it requires; without one, nobody needs to be signed in. The scope follows from it, unless there is one. */
  role?: PersonRole;
}

/** Describes routes for a role. */
const routesFor =
  (role?: PersonRole, scope?: NeededScope) =>
  <O extends Partial<StudioOperation> = object>(summary: string, rest = {} as O): StudioOperation & O => ({
    summary,
    role,
    scope,
    ...rest,
  });
const open = routesFor();
const annotator = routesFor('annotator');
const reviewer = routesFor('reviewer');
const owner = routesFor('owner');
/** What an annotator does with their own access, which no API key is enough for. */
const self = routesFor('annotator', 'none');
const admin = routesFor('owner', 'admin');

/** Every route, by method and path. */
export const apiOperations = {
  'GET /session': annotator('Who is signed in', { response: sessionSchema }),
  'POST /session': open('Sign in: sets the session’s cookie', { body: signInSchema, response: sessionSchema }),
  'DELETE /session': open('Sign out', { response: signedOutSchema }),
  'GET /session/ways': open('How people may sign in', { response: waysSchema }),
  'POST /session/oidc': open('Begin to sign in at the sign-in provider, or to link an account there', {
    body: beginSchema,
    response: begunSchema,
  }),
  'GET /session/oidc/callback': open(
    'Where the sign-in provider leads back to: sets the session’s cookie and opens the page',
    { types: ['text/html'] },
  ),
  'GET /sessions': self('Your open sessions', { response: sessionListSchema }),
  'DELETE /sessions': self('End your sessions, besides the one of this request', { response: endedSchema }),
  'DELETE /sessions/:id': self('End a session of yours', { response: endedSchema }),
  'GET /keys': self('Your API keys', { response: z.array(apiKeySchema) }),
  'POST /keys': self('Create an API key; it is shown only once', {
    body: newKeySchema,
    response: addedKeySchema,
    status: 201,
  }),
  'DELETE /keys/:id': self('Remove an API key of yours: it is refused at once', { response: emptySchema }),
  'GET /projects': annotator('The projects that the person sees, and their progress', {
    query: projectListSchema,
    response: z.array(summarySchema),
  }),
  'POST /projects': owner('Create a project', { body: newProjectSchema, response: summarySchema, status: 201 }),
  'GET /projects/:project': annotator('A project with its settings, guidelines and progress', {
    response: detailsSchema,
  }),
  'PATCH /projects/:project': owner('Change settings; those that are left out stay as they are', {
    query: confirmSchema,
    body: changesSchema,
    response: projectSchema,
  }),
  'POST /projects/:project/losses': owner('What ratings would lose by a change of settings; nothing is changed', {
    body: changesSchema,
    response: ratingLossesSchema,
  }),
  'PUT /projects/:project/guidelines': owner('Write the guidelines: a new version if the text has changed', {
    body: guidelinesTextSchema,
    response: guidelinesSchema,
  }),
  'DELETE /projects/:project': admin('Delete a project with its items and judgments', { response: emptySchema }),
  'POST /projects/:project/archive': owner('Put a project away, or take it back', {
    body: archiveSchema,
    response: projectSchema,
  }),
  'POST /projects/:project/rename': owner('Rename a project; its old name still finds it', {
    body: newNameSchema,
    response: projectSchema,
  }),
  'GET /projects/:project/members': reviewer('Names of the annotators who see the project', {
    response: membersSchema,
  }),
  'PUT /projects/:project/members': admin('Make these annotators the members of the project', {
    body: membersSchema,
    response: membersSchema,
  }),
  'GET /projects/:project/items': reviewer('Items by words and state, in order of arrival', {
    query: itemListSchema,
    response: listedItemsSchema,
  }),
  'GET /projects/:project/items/:item': reviewer('An item with everything that was recorded of it', {
    response: itemRecordSchema,
  }),
  'GET /projects/:project/items/:item/comments': annotator(
    'Comments on an item; annotators see those of others once they have judged it',
    { response: z.array(itemCommentSchema) },
  ),
  'POST /projects/:project/items/:item/comments': annotator('Comment on an item', {
    body: newCommentSchema,
    response: z.array(itemCommentSchema),
  }),
  'DELETE /projects/:project/items/:item/comments/:comment': annotator(
    'Delete one of your comments; owners delete any',
    { response: z.array(itemCommentSchema) },
  ),
  'GET /projects/:project/mine': annotator('Your own judgments, the latest first, each with its history', {
    query: ownWorkSchema,
    response: ownJudgmentsSchema,
  }),
  'GET /projects/:project/filters': reviewer('Saved filters of items', { response: z.array(savedFilterSchema) }),
  'POST /projects/:project/filters': reviewer('Save a filter of items in place of one of that name', {
    body: savedFilterSchema,
    response: z.array(savedFilterSchema),
  }),
  'DELETE /projects/:project/filters/:name': reviewer('Delete a saved filter', {
    response: z.array(savedFilterSchema),
  }),
  'POST /projects/:project/items/assign': owner('Assign items to people, who alone get them', {
    body: assignSchema,
    response: countSchema,
  }),
  'POST /projects/:project/items/archive': owner('Put items away, or take them back', {
    body: archiveItemsSchema,
    response: countSchema,
  }),
  'POST /projects/:project/items/delete': admin('Delete items with their judgments', {
    body: itemIdsSchema,
    response: countSchema,
  }),
  'POST /projects/:project/items': owner('Add items; those that the project has already stay as they are', {
    body: itemsSchema,
    response: addedItemsSchema,
  }),
  'POST /projects/:project/suggestions': owner('Set what a model says of items', {
    body: suggestionsSchema,
    response: countSchema,
  }),
  'POST /projects/:project/priorities': owner('Set the priorities of items; the highest come first', {
    body: prioritiesSchema,
    response: countSchema,
  }),
  'POST /projects/:project/next': annotator('Reserve the next items to judge; fewer if there are no more', {
    body: nextSchema,
    response: assignmentsSchema,
  }),
  'POST /projects/:project/judgments': annotator(
    'Record or change a judgment; the same id sent again records nothing new',
    { body: newJudgmentSchema, response: judgmentReceiptSchema },
  ),
  'POST /projects/:project/undo': annotator('Undo your latest judgment of an item', {
    body: undoSchema,
    response: receiptSchema,
  }),
  'GET /projects/:project/quality': reviewer('The agreement report', { response: qualityReportSchema }),
  'GET /projects/:project/work': reviewer('What each annotator has done, how long it took, and what it pays', {
    query: workSchema,
    response: z.array(annotatorWorkSchema),
  }),
  'GET /projects/:project/payments': owner('Payments of annotators, in a file', {
    query: paymentsSchema,
    types: Object.values(exportTypes),
  }),
  'GET /projects/:project/webhooks': admin('Where the events of a project are sent, and how that went', {
    response: webhooksSchema,
  }),
  'POST /projects/:project/webhooks': admin('Send the events of a project to an address; the secret is shown once', {
    body: newWebhookSchema,
    response: addedWebhookSchema,
    status: 201,
  }),
  'DELETE /projects/:project/webhooks/:webhook': admin('Remove a webhook', { response: emptySchema }),
  'POST /projects/:project/webhooks/:webhook/test': admin('Send a test to a webhook now', {
    response: deliveredSchema,
  }),
  'GET /templates': annotator('Rubrics for new projects', { response: templatesSchema }),
  'GET /projects/:project/disagreements': reviewer('Items that annotators disagree on, the least clear first', {
    response: z.array(disagreementSchema),
  }),
  'GET /rooms/:project': annotator('The teaching room: how the training is doing that asks in this project', {
    response: roomViewSchema,
  }),
  'GET /rooms/:project/play': annotator('What the agent or the model does now', { response: roomPlaySchema }),
  'GET /rooms/:project/stream': annotator('The teaching room as it changes', { types: ['text/event-stream'] }),
  'POST /rooms/:project/request': owner(
    'Pause or continue the training, continue it with more judgments, or close the room',
    { body: roomRequestSchema, response: roomReceiptSchema },
  ),
  'POST /rooms/:project/undo-round': owner('Take back the judgments of the latest round', { response: undoneSchema }),
  'POST /rooms/:project/invite': admin('Add an annotator; the token is shown only once', {
    body: inviteSchema,
    response: invitedSchema,
  }),
  'POST /projects/:project/adjudicate': reviewer('Decide an item: this judgment counts, and the item is closed', {
    body: newJudgmentSchema,
    response: receiptSchema,
  }),
  'POST /projects/:project/import': owner('Add items from the text of a file', {
    body: importSchema,
    response: importedSchema,
  }),
  'POST /import': owner('Move data of another tool in: a project for each kind of judgment', {
    body: importFromSchema,
    response: importedFromSchema,
  }),
  'GET /projects/:project/transfer': reviewer('A project as another tool loads it, in a ZIP archive', {
    query: exportToSchema,
    types: [ARCHIVE_TYPE],
  }),
  'GET /projects/:project/export': reviewer('Judgments as a dataset, in a file', {
    query: exportSchema,
    types: Object.values(exportTypes),
  }),
  'GET /projects/:project/tokens': reviewer('What a model learns: the first rows of an export as tokens', {
    query: tokensQuerySchema,
    response: tokensSchema,
  }),
  'POST /projects/:project/chat': annotator('Choose between the two responses of a turn: an item with a judgment', {
    body: turnSchema,
    response: receiptSchema,
  }),
  'GET /chat': annotator('The model that people can chat with, if any', { response: modelSchema }),
  'POST /chat': annotator(
    'Two responses of the model to a conversation, in lines of JSON; the last one names the turn',
    { body: drawSchema, types: ['application/x-ndjson'] },
  ),
  'GET /settings-schema': annotator('JSON Schema of a project’s settings', { response: settingsFormSchema }),
  'GET /people': reviewer('Everybody in the store', { response: z.array(accountSchema) }),
  'POST /people': admin('Add a person', { body: newPersonSchema, response: tokenSchema, status: 201 }),
  'PATCH /people/:name': admin('Change a role', { body: roleSchema, response: personSchema }),
  'POST /people/:name/token': admin('Issue a new token in place of the old one; sessions and API keys end', {
    body: tokenLifeSchema,
    response: tokenSchema,
  }),
  'DELETE /people/:name': admin('Revoke a person’s access; their judgments stay', { response: emptySchema }),
  'GET /people/:name/sessions': admin('A person’s open sessions', { response: sessionListSchema }),
  'DELETE /people/:name/sessions': admin('End all sessions of a person', { response: endedSchema }),
  'DELETE /people/:name/sessions/:id': admin('End a session of a person', { response: endedSchema }),
  'GET /people/:name/keys': admin('A person’s API keys', { response: z.array(apiKeySchema) }),
  'DELETE /people/:name/keys/:id': admin('Remove an API key of a person', { response: emptySchema }),
  'GET /events': annotator('What happens in a project, as it happens; Last-Event-ID resumes', {
    query: eventsSchema,
    types: ['text/event-stream'],
  }),
  'GET /audit': admin('The audit log, the newest first', { query: auditSchema, response: z.array(auditEntrySchema) }),
  'GET /audit/export': admin('All of the audit log, in a file', {
    query: auditExportSchema,
    types: Object.values(exportTypes),
  }),
  'GET /audit/check': admin('Whether every line of the audit log fits, and the hash of the last one', {
    query: verifySchema,
    response: auditCheckSchema,
  }),
  'GET /retention': admin('For how many days the store keeps what', { response: retentionSettingsSchema }),
  'PATCH /retention': admin('Set or unset retention rules; the studio applies them every day', {
    body: retentionChangesSchema,
    response: retentionSettingsSchema,
  }),
  'POST /retention/apply': admin('Delete what is older than the retention rules say, or count it', {
    body: applyRetentionSchema,
    response: retentionResultSchema,
  }),
  'GET /people/:name/data': admin('All that the store has of a person'),
  'POST /people/:name/forget': admin('Delete a person with what they said; the receipt is shown once', {
    body: forgetSchema,
    response: forgottenSchema,
  }),
  'GET /runs': reviewer('Runs, the newest first', { query: pageSchema, response: runListSchema }),
  'GET /runs/:run': reviewer('A run, its settings and latest metrics'),
  'GET /runs/:run/metrics': reviewer('Metrics in buckets that keep the least and greatest values', {
    query: metricsSchema,
  }),
  'GET /runs/:run/samples': reviewer('Samples of a run', { query: samplesSchema }),
  'GET /runs/:run/spread': reviewer('Distributions of rewards, KL and lengths of a run’s completions'),
  'GET /runs/:run/report.html': reviewer('A run’s report', { types: ['text/html'] }),
  'GET /runs/:run/stream': reviewer('Rows of metrics as they are written; Last-Event-ID resumes', {
    query: streamSchema,
    types: ['text/event-stream'],
  }),
  'GET /machine': reviewer('Load of the studio’s machine', { response: machineSchema }),
  'GET /openapi.json': open('This document'),
} satisfies Record<string, StudioOperation>;

/** What a person reads about who may use a route. */
const needs = (role: PersonRole, scope: NeededScope): string => {
  const key = scope === 'none' ? 'No API key is enough.' : `An API key needs the scope ${scope}.`;
  return `Takes the role ${role}${role === 'owner' ? '' : ' or above'}. ${key}`;
};

/** Builds the document. It names no person, project or run. */
export function openApi(): object {
  const paths = operationPaths<StudioOperation>(
    apiOperations,
    ({ role, scope }, method) => ({
      ...(role && { description: needs(role, scope ?? scopeOf(role, method)) }),
      security: role ? [{ token: [] }, { session: [], csrf: [] }] : [],
    }),
    '/api',
  );
  const error = z.object({ error: z.object({ message: z.string(), hint: z.string().optional() }) });
  return {
    openapi: '3.1.0',
    info: {
      title: 'heed studio',
      version: '1',
      description: 'Projects, items, judgments and people of a store, and the runs of a folder.',
    },
    paths,
    components: {
      responses: errorResponse('What is wrong, and what to do.', error),
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'An API key, or a person’s token.' },
        session: { type: 'apiKey', in: 'cookie', name: 'heed_session', description: 'by https: __Host-heed_session' },
        csrf: {
          type: 'apiKey',
          in: 'header',
          name: 'x-heed-csrf',
          description: 'The session’s csrf value, for requests that change something.',
        },
      },
    },
  };
}
