/** Tools of a request, and how a template shows them. */
import type { ChatMessage } from '../../lm/render-chat.ts';
import { ApiError } from '../errors.ts';
import type { CompletionFormat } from './format-engine.ts';
import type { ChatRequest, ToolDefinition } from './schema.ts';

/** The request's tools that the model may call: none, some, or one that it has to call. */
export function toolsOf({ tools = [], tool_choice: choice = 'auto' }: ChatRequest): {
  tools: ToolDefinition[];
  required: boolean;
} {
  if (choice === 'none') return { tools: [], required: false };
  if (choice === 'required' && tools.length === 0) {
    throw new ApiError(400, '"tool_choice" is "required", but there are no "tools".', { param: 'tool_choice' });
  }
  if (typeof choice === 'string') return { tools, required: choice === 'required' };
  const { name } = choice.function;
  const tool = tools.find((tool) => tool.function.name === name);
  if (!tool) throw new ApiError(400, `There is no tool "${name}" in "tools".`, { param: 'tool_choice' });
  return { tools: [tool], required: true };
}

/** JSON that calls one of the tools. */
export const formatOfCall = (tools: readonly ToolDefinition[]): CompletionFormat => ({
  tools: tools.map(({ function: { name, parameters } }) => ({ name, parameters })),
});

/** Messages as templates expect them: contents as text. */
export const templateMessages = (messages: ChatRequest['messages']): ChatMessage[] =>
  messages.map((message) => {
    const { content } = message;
    const text = typeof content === 'string' ? content : (content ?? []).map(({ text }) => text).join('');
    return { ...message, content: text };
  });
