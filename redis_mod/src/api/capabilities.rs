//! What the module needs of the server, checked before anything is registered, so that an old server says in its log what
//! is missing and goes on without the module.

use redis_module::raw;

/// The names of the API functions that the module needs and the server does not offer.
pub fn missing() -> Vec<&'static str> {
    let mut missing = Vec::new();
    macro_rules! need {
        ($($function:ident)*) => {
            $(
                // SAFETY: the pointers are written once, when the module is loaded, before this runs.
                if unsafe { raw::$function }.is_none() {
                    missing.push(stringify!($function));
                }
            )*
        };
    }
    need! {
        RedisModule_Alloc RedisModule_Free RedisModule_Log RedisModule_CreateCommand RedisModule_GetCommand
        RedisModule_SetCommandInfo RedisModule_CreateDataType RedisModule_SetModuleOptions
        RedisModule_OpenKey RedisModule_CloseKey RedisModule_KeyType RedisModule_ModuleTypeGetType RedisModule_ModuleTypeGetValue
        RedisModule_ModuleTypeSetValue RedisModule_StringPtrLen RedisModule_CreateString RedisModule_FreeString
        RedisModule_ReplyWithError RedisModule_ReplyWithArray RedisModule_ReplyWithLongLong
        RedisModule_ReplyWithStringBuffer RedisModule_ReplyWithDouble RedisModule_ReplyWithNull RedisModule_WrongArity
        RedisModule_Replicate RedisModule_ReplicateVerbatim RedisModule_NotifyKeyspaceEvent
        RedisModule_GetSelectedDb RedisModule_Milliseconds RedisModule_GetContextFlags
        RedisModule_IsKeysPositionRequest RedisModule_KeyAtPosWithFlags
        RedisModule_SaveStringBuffer RedisModule_LoadStringBuffer RedisModule_IsIOError RedisModule_EmitAOF
        RedisModule_GetKeyNameFromIO RedisModule_GetDbIdFromIO
        RedisModule_GetToKeyNameFromOptCtx RedisModule_GetToDbIdFromOptCtx RedisModule_GetDbIdFromOptCtx
        RedisModule_SelectDb
        RedisModule_DigestAddStringBuffer RedisModule_DigestEndSequence
        RedisModule_SubscribeToKeyspaceEvents RedisModule_SubscribeToServerEvent
        RedisModule_RegisterStringConfig RedisModule_LoadConfigs RedisModule_RegisterInfoFunc
        RedisModule_InfoAddSection RedisModule_InfoAddFieldLongLong RedisModule_InfoAddFieldCString
        RedisModule_GetServerInfo RedisModule_ServerInfoGetFieldC RedisModule_FreeServerInfo
        RedisModule_GetCurrentUserName RedisModule_GetModuleUserFromUserName RedisModule_FreeModuleUser
        RedisModule_ACLCheckKeyPermissions
    }
    missing
}
