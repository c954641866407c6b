/** Name of the tiny model that comes with heed. It writes reviews of places. */
export const embeddedModel = 'reviews-base';
/** Name of the embedded model that `heed serve` serves: its tokens spell every text, and it knows JSON and tools. */
export const embeddedChatModel = 'reviews-chat';
/** Names of the models that come with heed. */
export const embeddedModels: readonly string[] = [embeddedModel, embeddedChatModel];
/** Whether a name is that of a model that comes with heed. */
export const isEmbedded = (name: string): boolean => embeddedModels.includes(name);
