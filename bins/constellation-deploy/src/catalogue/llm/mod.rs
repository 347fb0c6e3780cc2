//! Language models: a gateway to them, a page to talk to them, and tools that they use.

mod gateway;
mod research;
mod talk;
mod tools;

use constellation_services::prelude::*;

use super::Chapter;

pub(super) fn chapter(cfg: &Config) -> Chapter {
    Chapter::new("llm", "language models: a gateway to them, a page to talk to them, and tools that they use")
        .service(research::gptr(cfg))
        .service(gateway::litellm(cfg))
        .service(gateway::litellm_postgres(cfg))
        .service(tools::mcp_proxy(cfg))
        .service(tools::mcpo(cfg))
        .service(gateway::model_updater(cfg))
        .service(talk::open_webui(cfg))
        .service(tools::qdrant(cfg))
}

/// Keys that the gateway and the researcher both use: the file, and the variable.
const SHARED_KEYS: &[(&str, &str)] = &[
    ("anthropic-api-key.txt", "ANTHROPIC_API_KEY"),
    ("deepseek-api-key.txt", "DEEPSEEK_API_KEY"),
    ("gemini-api-key.txt", "GEMINI_API_KEY"),
    ("glama-api-key.txt", "GLAMA_API_KEY"),
    ("groq-api-key.txt", "GROQ_API_KEY"),
    ("hf-token.txt", "HF_TOKEN"),
    ("langchain-api-key.txt", "LANGCHAIN_API_KEY"),
    ("mistral-api-key.txt", "MISTRAL_API_KEY"),
    ("openai-api-key.txt", "OPENAI_API_KEY"),
    ("openrouter-api-key.txt", "OPENROUTER_API_KEY"),
    ("perplexity-api-key.txt", "PERPLEXITY_API_KEY"),
    ("replicate-api-key.txt", "REPLICATE_API_KEY"),
    ("sambanova-api-key.txt", "SAMBANOVA_API_KEY"),
    ("search1api-key.txt", "SEARCH1API_KEY"),
    ("serpapi-api-key.txt", "SERPAPI_API_KEY"),
    ("togetherai-api-key.txt", "TOGETHERAI_API_KEY"),
    ("upstage-api-key.txt", "UPSTAGE_API_KEY"),
];

const READS_NO_FILES: &str = "it reads no `*_FILE` variables: a shell reads the files for it, and becomes it";
