/**
 * An agent made with the Vercel AI SDK, which knows nothing of heed: it writes a reply, checks it, and prints the result.
 * Train it: heed grpo --model … --agent 'examples/agent.js {question}' --tasks tasks.jsonl --reward examples/agent-score.js
 */
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText } from 'ai';

const provider = createOpenAICompatible({
  name: 'provider',
  baseURL: process.env.OPENAI_BASE_URL ?? 'https://api.openai.com/v1',
  apiKey: process.env.OPENAI_API_KEY,
});
const model = provider.chatModel(process.env.OPENAI_MODEL ?? 'gpt-4.1-mini');

/** The reply to a question: a draft, and then a second look at it in the same conversation. */
async function reply(question) {
  const messages = [{ role: 'user', content: question }];
  const draft = await generateText({ model, messages });
  messages.push(...draft.response.messages, { role: 'user', content: 'Check it, and write the final reply.' });
  const final = await generateText({ model, messages });
  return final.text;
}

console.log(await reply(process.argv.slice(2).join(' ')));
