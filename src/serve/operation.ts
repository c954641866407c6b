/** What the OpenAPI document says of a route. */
import type { Operation as AnyOperation } from '../feedback/server/operations.ts';
import type { Scope } from './context.ts';

/** One route of the document. */
export interface Operation extends AnyOperation {
  /** The scope that the key needs; without one, none is needed. */
  scope?: Scope;
}
