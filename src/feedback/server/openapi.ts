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

/** One route of the document. */
interface StudioOperation extends Operation<NeededScope> {
  /** The role it requires; without one, nobody needs to be signed in. The scope follows from it, unless there is one. */
  role?: PersonRole;
}

/** Every route, by method and path. */
export const apiOperations = {
  'GET /session': { summary: 'Who is signed in', role: 'annotator', response: sessionSchema },
  'POST /session': { summary: 'Sign in: sets the session’s cookie', body: signInSchema, response: sessionSchema },
  'DELETE /session': { summary: 'Sign out', response: signedOutSchema },
  'GET /session/ways': { summary: 'How people may sign in', response: waysSchema },
  'POST /session/oidc': {
    summary: 'Begin to sign in at the sign-in provider, or to link an account there',
    body: beginSchema,
    response: begunSchema,
  },
  'GET /session/oidc/callback': {
    summary: 'Where the sign-in provider leads back to: sets the session’s cookie and opens the page',
    types: ['text/html'],
  },
  'GET /sessions': { summary: 'Your open sessions', role: 'annotator', scope: 'none', response: sessionListSchema },
  'DELETE /sessions': {
    summary: 'End your sessions, besides the one of this request',
    role: 'annotator',
    scope: 'none',
    response: endedSchema,
  },
  'DELETE /sessions/:id': {
    summary: 'End a session of yours',
    role: 'annotator',
    scope: 'none',
    response: endedSchema,
  },
  'GET /keys': { summary: 'Your API keys', role: 'annotator', scope: 'none', response: z.array(apiKeySchema) },
  'POST /keys': {
    summary: 'Create an API key; it is shown only once',
    role: 'annotator',
    scope: 'none',
    body: newKeySchema,
    response: addedKeySchema,
    status: 201,
  },
  'DELETE /keys/:id': {
    summary: 'Remove an API key of yours: it is refused at once',
    role: 'annotator',
    scope: 'none',
    response: emptySchema,
  },
  'GET /projects': {
    summary: 'The projects that the person sees, and their progress',
    role: 'annotator',
    query: projectListSchema,
    response: z.array(summarySchema),
  },
  'POST /projects': {
    summary: 'Create a project',
    role: 'owner',
    body: newProjectSchema,
    response: summarySchema,
    status: 201,
  },
  'GET /projects/:project': {
    summary: 'A project with its settings, guidelines and progress',
    role: 'annotator',
    response: detailsSchema,
  },
  'PATCH /projects/:project': {
    summary: 'Change settings; those that are left out stay as they are',
    role: 'owner',
    query: confirmSchema,
    body: changesSchema,
    response: projectSchema,
  },
  'POST /projects/:project/losses': {
    summary: 'What ratings would lose by a change of settings; nothing is changed',
    role: 'owner',
    body: changesSchema,
    response: ratingLossesSchema,
  },
  'PUT /projects/:project/guidelines': {
    summary: 'Write the guidelines: a new version if the text has changed',
    role: 'owner',
    body: guidelinesTextSchema,
    response: guidelinesSchema,
  },
  'DELETE /projects/:project': {
    summary: 'Delete a project with its items and judgments',
    role: 'owner',
    scope: 'admin',
    response: emptySchema,
  },
  'POST /projects/:project/archive': {
    summary: 'Put a project away, or take it back',
    role: 'owner',
    body: archiveSchema,
    response: projectSchema,
  },
  'GET /projects/:project/members': {
    summary: 'Names of the annotators who see the project',
    role: 'reviewer',
    response: membersSchema,
  },
  'PUT /projects/:project/members': {
    summary: 'Make these annotators the members of the project',
    role: 'owner',
    scope: 'admin',
    body: membersSchema,
    response: membersSchema,
  },
  'GET /projects/:project/items': {
    summary: 'Items by words and state, in order of arrival',
    role: 'reviewer',
    query: itemListSchema,
    response: listedItemsSchema,
  },
  'GET /projects/:project/items/:item': {
    summary: 'An item with everything that was recorded of it',
    role: 'reviewer',
    response: itemRecordSchema,
  },
  'GET /projects/:project/items/:item/comments': {
    summary: 'Comments on an item; annotators see those of others once they have judged it',
    role: 'annotator',
    response: z.array(itemCommentSchema),
  },
  'POST /projects/:project/items/:item/comments': {
    summary: 'Comment on an item',
    role: 'annotator',
    body: newCommentSchema,
    response: z.array(itemCommentSchema),
  },
  'DELETE /projects/:project/items/:item/comments/:comment': {
    summary: 'Delete one of your comments; owners delete any',
    role: 'annotator',
    response: z.array(itemCommentSchema),
  },
  'GET /projects/:project/mine': {
    summary: 'Your own judgments, the latest first, each with its history',
    role: 'annotator',
    query: ownWorkSchema,
    response: ownJudgmentsSchema,
  },
  'GET /projects/:project/filters': {
    summary: 'Saved filters of items',
    role: 'reviewer',
    response: z.array(savedFilterSchema),
  },
  'POST /projects/:project/filters': {
    summary: 'Save a filter of items in place of one of that name',
    role: 'reviewer',
    body: savedFilterSchema,
    response: z.array(savedFilterSchema),
  },
  'DELETE /projects/:project/filters/:name': {
    summary: 'Delete a saved filter',
    role: 'reviewer',
    response: z.array(savedFilterSchema),
  },
  'POST /projects/:project/items/assign': {
    summary: 'Assign items to people, who alone get them',
    role: 'owner',
    body: assignSchema,
    response: countSchema,
  },
  'POST /projects/:project/items/archive': {
    summary: 'Put items away, or take them back',
    role: 'owner',
    body: archiveItemsSchema,
    response: countSchema,
  },
  'POST /projects/:project/items/delete': {
    summary: 'Delete items with their judgments',
    role: 'owner',
    scope: 'admin',
    body: itemIdsSchema,
    response: countSchema,
  },
  'POST /projects/:project/items': {
    summary: 'Add items; those that the project has already stay as they are',
    role: 'owner',
    body: itemsSchema,
    response: addedItemsSchema,
  },
  'POST /projects/:project/suggestions': {
    summary: 'Set what a model says of items',
    role: 'owner',
    body: suggestionsSchema,
    response: countSchema,
  },
  'POST /projects/:project/priorities': {
    summary: 'Set the priorities of items; the highest come first',
    role: 'owner',
    body: prioritiesSchema,
    response: countSchema,
  },
  'POST /projects/:project/next': {
    summary: 'Reserve the next items to judge; fewer if there are no more',
    role: 'annotator',
    body: nextSchema,
    response: assignmentsSchema,
  },
  'POST /projects/:project/judgments': {
    summary: 'Record or change a judgment; the same id sent again records nothing new',
    role: 'annotator',
    body: newJudgmentSchema,
    response: judgmentReceiptSchema,
  },
  'POST /projects/:project/undo': {
    summary: 'Undo your latest judgment of an item',
    role: 'annotator',
    body: undoSchema,
    response: receiptSchema,
  },
  'GET /projects/:project/quality': {
    summary: 'The agreement report',
    role: 'reviewer',
    response: qualityReportSchema,
  },
  'GET /projects/:project/work': {
    summary: 'What each annotator has done, how long it took, and what it pays',
    role: 'reviewer',
    query: workSchema,
    response: z.array(annotatorWorkSchema),
  },
  'GET /projects/:project/payments': {
    summary: 'Payments of annotators, in a file',
    role: 'owner',
    query: paymentsSchema,
    types: Object.values(exportTypes),
  },
  'GET /templates': { summary: 'Rubrics for new projects', role: 'annotator', response: templatesSchema },
  'GET /projects/:project/disagreements': {
    summary: 'Items that annotators disagree on, the least clear first',
    role: 'reviewer',
    response: z.array(disagreementSchema),
  },
  'GET /rooms/:project': {
    summary: 'The teaching room: how the training is doing that asks in this project',
    role: 'annotator',
    response: roomViewSchema,
  },
  'GET /rooms/:project/play': {
    summary: 'What the agent or the model does now',
    role: 'annotator',
    response: roomPlaySchema,
  },
  'GET /rooms/:project/stream': {
    summary: 'The teaching room as it changes',
    role: 'annotator',
    types: ['text/event-stream'],
  },
  'POST /rooms/:project/request': {
    summary: 'Pause or continue the training, continue it with more judgments, or close the room',
    role: 'owner',
    body: roomRequestSchema,
    response: roomReceiptSchema,
  },
  'POST /rooms/:project/undo-round': {
    summary: 'Take back the judgments of the latest round',
    role: 'owner',
    response: undoneSchema,
  },
  'POST /rooms/:project/invite': {
    summary: 'Add an annotator; the token is shown only once',
    role: 'owner',
    scope: 'admin',
    body: inviteSchema,
    response: invitedSchema,
  },
  'POST /projects/:project/adjudicate': {
    summary: 'Decide an item: this judgment counts, and the item is closed',
    role: 'reviewer',
    body: newJudgmentSchema,
    response: receiptSchema,
  },
  'POST /projects/:project/import': {
    summary: 'Add items from the text of a file',
    role: 'owner',
    body: importSchema,
    response: importedSchema,
  },
  'POST /import': {
    summary: 'Move data of another tool in: a project for each kind of judgment',
    role: 'owner',
    body: importFromSchema,
    response: importedFromSchema,
  },
  'GET /projects/:project/transfer': {
    summary: 'A project as another tool loads it, in a ZIP archive',
    role: 'reviewer',
    query: exportToSchema,
    types: [ARCHIVE_TYPE],
  },
  'GET /projects/:project/export': {
    summary: 'Judgments as a dataset, in a file',
    role: 'reviewer',
    query: exportSchema,
    types: Object.values(exportTypes),
  },
  'POST /projects/:project/chat': {
    summary: 'Choose between the two responses of a turn: an item with a judgment',
    role: 'annotator',
    body: turnSchema,
    response: receiptSchema,
  },
  'GET /chat': { summary: 'The model that people can chat with, if any', role: 'annotator', response: modelSchema },
  'POST /chat': {
    summary: 'Two responses of the model to a conversation, in lines of JSON; the last one names the turn',
    role: 'annotator',
    body: drawSchema,
    types: ['application/x-ndjson'],
  },
  'GET /settings-schema': {
    summary: 'JSON Schema of a project’s settings',
    role: 'annotator',
    response: settingsFormSchema,
  },
  'GET /people': { summary: 'Everybody in the store', role: 'reviewer', response: z.array(accountSchema) },
  'POST /people': {
    summary: 'Add a person',
    role: 'owner',
    scope: 'admin',
    body: newPersonSchema,
    response: tokenSchema,
    status: 201,
  },
  'PATCH /people/:name': {
    summary: 'Change a role',
    role: 'owner',
    scope: 'admin',
    body: roleSchema,
    response: personSchema,
  },
  'POST /people/:name/token': {
    summary: 'Issue a new token in place of the old one; sessions and API keys end',
    role: 'owner',
    scope: 'admin',
    body: tokenLifeSchema,
    response: tokenSchema,
  },
  'DELETE /people/:name': {
    summary: 'Revoke a person’s access; their judgments stay',
    role: 'owner',
    scope: 'admin',
    response: emptySchema,
  },
  'GET /people/:name/sessions': {
    summary: 'A person’s open sessions',
    role: 'owner',
    scope: 'admin',
    response: sessionListSchema,
  },
  'DELETE /people/:name/sessions': {
    summary: 'End all sessions of a person',
    role: 'owner',
    scope: 'admin',
    response: endedSchema,
  },
  'DELETE /people/:name/sessions/:id': {
    summary: 'End a session of a person',
    role: 'owner',
    scope: 'admin',
    response: endedSchema,
  },
  'GET /people/:name/keys': {
    summary: 'A person’s API keys',
    role: 'owner',
    scope: 'admin',
    response: z.array(apiKeySchema),
  },
  'DELETE /people/:name/keys/:id': {
    summary: 'Remove an API key of a person',
    role: 'owner',
    scope: 'admin',
    response: emptySchema,
  },
  'GET /events': {
    summary: 'What happens in a project, as it happens; Last-Event-ID resumes',
    role: 'annotator',
    query: eventsSchema,
    types: ['text/event-stream'],
  },
  'GET /audit': {
    summary: 'The audit log, the newest first',
    role: 'owner',
    scope: 'admin',
    query: auditSchema,
    response: z.array(auditEntrySchema),
  },
  'GET /audit/export': {
    summary: 'All of the audit log, in a file',
    role: 'owner',
    scope: 'admin',
    query: auditExportSchema,
    types: Object.values(exportTypes),
  },
  'GET /audit/check': {
    summary: 'Whether every line of the audit log fits, and the hash of the last one',
    role: 'owner',
    scope: 'admin',
    query: verifySchema,
    response: auditCheckSchema,
  },
  'GET /retention': {
    summary: 'For how many days the store keeps what',
    role: 'owner',
    scope: 'admin',
    response: retentionSettingsSchema,
  },
  'PATCH /retention': {
    summary: 'Set or unset retention rules; the studio applies them every day',
    role: 'owner',
    scope: 'admin',
    body: retentionChangesSchema,
    response: retentionSettingsSchema,
  },
  'POST /retention/apply': {
    summary: 'Delete what is older than the retention rules say, or count it',
    role: 'owner',
    scope: 'admin',
    body: applyRetentionSchema,
    response: retentionResultSchema,
  },
  'GET /people/:name/data': { summary: 'All that the store has of a person', role: 'owner', scope: 'admin' },
  'POST /people/:name/forget': {
    summary: 'Delete a person with what they said; the receipt is shown once',
    role: 'owner',
    scope: 'admin',
    body: forgetSchema,
    response: forgottenSchema,
  },
  'GET /runs': { summary: 'Runs, the newest first', role: 'reviewer', query: pageSchema, response: runListSchema },
  'GET /runs/:run': { summary: 'A run, its settings and latest metrics', role: 'reviewer' },
  'GET /runs/:run/metrics': {
    summary: 'Metrics in buckets that keep the least and greatest values',
    role: 'reviewer',
    query: metricsSchema,
  },
  'GET /runs/:run/samples': { summary: 'Samples of a run', role: 'reviewer', query: samplesSchema },
  'GET /runs/:run/spread': {
    summary: 'Distributions of rewards, KL and lengths of a run’s completions',
    role: 'reviewer',
  },
  'GET /runs/:run/report.html': { summary: 'A run’s report', role: 'reviewer', types: ['text/html'] },
  'GET /runs/:run/stream': {
    summary: 'Rows of metrics as they are written; Last-Event-ID resumes',
    role: 'reviewer',
    query: streamSchema,
    types: ['text/event-stream'],
  },
  'GET /machine': { summary: 'Load of the studio’s machine', role: 'reviewer', response: machineSchema },
  'GET /openapi.json': { summary: 'This document' },
} as const satisfies Record<string, StudioOperation>;

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
