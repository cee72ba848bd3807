//! Who and what is there: the data centre's own facts, users, chats, and signing out.

use std::net::SocketAddr;

use grammers_tl_types::{Serializable, enums, types};

use super::{Answer, Caller, peers};
use crate::view::{self, Company};
use crate::world::World;

/// The data centre that clients know first, and that accounts live in unless they were moved.
pub(crate) const DC_ID: i32 = 2;
/// All that are played: at one address, told apart by the keys that were made with them.
pub(crate) const DC_IDS: [i32; 2] = [DC_ID, 4];

/// `help.getConfig`: the data centres, at the address that all of them listen on.
pub(super) fn config(address: SocketAddr, this_dc: i32, now: i32) -> Vec<u8> {
    let option = |id| types::DcOption {
        ipv6: address.is_ipv6(),
        media_only: false,
        tcpo_only: false,
        cdn: false,
        r#static: true,
        this_port_only: false,
        id,
        ip_address: address.ip().to_string(),
        port: i32::from(address.port()),
        secret: None,
    };
    enums::Config::Config(types::Config {
        default_p2p_contacts: false,
        preload_featured_stickers: false,
        revoke_pm_inbox: false,
        blocked_mode: false,
        force_try_ipv6: false,
        date: now,
        expires: now + 3_600,
        test_mode: false,
        this_dc,
        dc_options: DC_IDS.map(|id| option(id).into()).into(),
        dc_txt_domain_name: String::new(),
        chat_size_max: 200,
        megagroup_size_max: 200_000,
        forwarded_count_max: 100,
        online_update_period_ms: 210_000,
        offline_blur_timeout_ms: 5_000,
        offline_idle_timeout_ms: 30_000,
        online_cloud_timeout_ms: 300_000,
        notify_cloud_delay_ms: 30_000,
        notify_default_delay_ms: 1_500,
        push_chat_period_ms: 60_000,
        push_chat_limit: 2,
        edit_time_limit: 172_800,
        revoke_time_limit: i32::MAX,
        revoke_pm_time_limit: i32::MAX,
        rating_e_decay: 2_419_200,
        stickers_recent_limit: 200,
        channels_read_media_period: 604_800,
        tmp_sessions: None,
        call_receive_timeout_ms: 20_000,
        call_ring_timeout_ms: 90_000,
        call_connect_timeout_ms: 30_000,
        call_packet_timeout_ms: 10_000,
        me_url_prefix: "https://t.me/".to_owned(),
        autoupdate_url_prefix: None,
        gif_search_username: None,
        venue_search_username: None,
        img_search_username: None,
        static_maps_provider: None,
        caption_length_max: 1_024,
        message_length_max: 4_096,
        webfile_dc_id: 4,
        suggested_lang_code: None,
        lang_pack_version: None,
        base_lang_pack_version: None,
        reactions_default: None,
        autologin_token: None,
    })
    .to_bytes()
}

/// `help.getNearestDc`
pub(super) fn nearest_dc(this_dc: i32) -> Vec<u8> {
    enums::NearestDc::Dc(types::NearestDc {
        country: "ZZ".to_owned(),
        this_dc,
        nearest_dc: DC_ID,
    })
    .to_bytes()
}

/// `users.getUsers`: those that can be named; the others are left out.
pub(super) fn users(world: &World, caller: &Caller, ids: &[enums::InputUser]) -> Vec<u8> {
    let users: Vec<enums::User> = ids
        .iter()
        .filter_map(|id| peers::user(world, caller, id).ok())
        .filter_map(|id| world.users.get(&id))
        .map(|user| caller.viewer.user(user))
        .collect();
    users.to_bytes()
}

/// `users.getFullUser`
pub(super) fn full_user(world: &World, caller: &Caller, id: &enums::InputUser) -> Answer {
    let id = peers::user(world, caller, id)?;
    let user = world.users.get(&id).ok_or(peers::USER_ID_INVALID)?;
    let settings = types::PeerSettings {
        report_spam: false,
        add_contact: false,
        block_contact: false,
        share_contact: false,
        need_contacts_exception: false,
        report_geo: false,
        autoarchived: false,
        invite_members: false,
        request_chat_broadcast: false,
        business_bot_paused: false,
        business_bot_can_reply: false,
        geo_distance: None,
        request_chat_title: None,
        request_chat_date: None,
        business_bot_id: None,
        business_bot_manage_url: None,
        charge_paid_message_stars: None,
        registration_month: None,
        phone_country: None,
        name_change_date: None,
        photo_change_date: None,
    };
    let full = types::UserFull {
        blocked: false,
        phone_calls_available: false,
        phone_calls_private: false,
        can_pin_message: false,
        has_scheduled: false,
        video_calls_available: false,
        voice_messages_forbidden: false,
        translations_disabled: false,
        stories_pinned_available: false,
        blocked_my_stories_from: false,
        wallpaper_overridden: false,
        contact_require_premium: false,
        read_dates_private: false,
        sponsored_enabled: false,
        can_view_revenue: false,
        bot_can_manage_emoji_status: false,
        display_gifts_button: false,
        noforwards_my_enabled: false,
        noforwards_peer_enabled: false,
        unofficial_security_risk: false,
        id: user.id,
        about: None,
        settings: settings.into(),
        personal_photo: None,
        profile_photo: None,
        fallback_photo: None,
        notify_settings: view::notify_settings(),
        bot_info: None,
        pinned_msg_id: None,
        common_chats_count: 0,
        folder_id: None,
        ttl_period: None,
        theme: None,
        private_forward_name: None,
        bot_group_admin_rights: None,
        bot_broadcast_admin_rights: None,
        wallpaper: None,
        stories: None,
        business_work_hours: None,
        business_location: None,
        business_greeting_message: None,
        business_away_message: None,
        business_intro: None,
        birthday: None,
        personal_channel_id: None,
        personal_channel_message: None,
        stargifts_count: None,
        starref_program: None,
        bot_verification: None,
        send_paid_messages_stars: None,
        disallowed_gifts: None,
        stars_rating: None,
        stars_my_pending_rating: None,
        stars_my_pending_rating_date: None,
        main_tab: None,
        saved_music: None,
        note: None,
        bot_manager_id: None,
    };
    Ok(enums::users::UserFull::Full(types::users::UserFull {
        full_user: full.into(),
        chats: Vec::new(),
        users: vec![caller.viewer.user(user)],
    })
    .to_bytes())
}

/// `channels.getChannels`
pub(super) fn channels(world: &World, caller: &Caller, ids: &[enums::InputChannel]) -> Answer {
    let mut company = Company::default();
    for id in ids {
        let chat = peers::channel(world, caller, id)?;
        company.add_chat(&chat.peer, chat.members.contains(&caller.account));
    }
    Ok(chats(&company, caller))
}

/// `messages.getChats`: basic groups.
pub(super) fn groups(world: &World, caller: &Caller, ids: &[i64]) -> Vec<u8> {
    let mut company = Company::default();
    for chat in ids.iter().filter_map(|id| world.chats.get(&id.checked_neg()?)) {
        if chat.members.contains(&caller.account) && !chat.peer.kind.has_own_numbers() {
            company.add_chat(&chat.peer, true);
        }
    }
    chats(&company, caller)
}

fn chats(company: &Company, caller: &Caller) -> Vec<u8> {
    enums::messages::Chats::Chats(types::messages::Chats {
        chats: company.chats(caller.viewer),
    })
    .to_bytes()
}

/// `channels.getFullChannel`
pub(super) fn full_channel(world: &World, caller: &Caller, channel: &enums::InputChannel) -> Answer {
    let chat = peers::readable(world, caller, channel)?;
    let top = chat.timeline.messages().next_back().map_or(0, |(id, _)| id);
    let full = types::ChannelFull {
        can_view_participants: false,
        can_set_username: false,
        can_set_stickers: false,
        hidden_prehistory: false,
        can_set_location: false,
        has_scheduled: false,
        can_view_stats: false,
        blocked: false,
        can_delete_channel: false,
        antispam: false,
        participants_hidden: false,
        translations_disabled: false,
        stories_pinned_available: false,
        view_forum_as_messages: false,
        restricted_sponsored: false,
        can_view_revenue: false,
        paid_media_allowed: false,
        can_view_stars_revenue: false,
        paid_reactions_available: false,
        stargifts_available: false,
        paid_messages_available: false,
        has_welcome_messages: false,
        id: chat.peer.bare_id(),
        about: chat.peer.about.clone(),
        participants_count: Some(chat.peer.participants),
        admins_count: None,
        kicked_count: None,
        banned_count: None,
        online_count: None,
        read_inbox_max_id: top,
        read_outbox_max_id: top,
        unread_count: 0,
        chat_photo: types::PhotoEmpty { id: 0 }.into(),
        notify_settings: view::notify_settings(),
        exported_invite: None,
        bot_info: Vec::new(),
        migrated_from_chat_id: None,
        migrated_from_max_id: None,
        pinned_msg_id: None,
        stickerset: None,
        available_min_id: None,
        folder_id: None,
        linked_chat_id: None,
        location: None,
        slowmode_seconds: None,
        slowmode_next_send_date: None,
        stats_dc: None,
        pts: chat.timeline.pts(),
        call: None,
        ttl_period: None,
        pending_suggestions: None,
        groupcall_default_join_as: None,
        theme_emoticon: None,
        requests_pending: None,
        recent_requesters: None,
        default_send_as: None,
        available_reactions: None,
        reactions_limit: None,
        stories: None,
        wallpaper: None,
        boosts_applied: None,
        boosts_unrestrict: None,
        emojiset: None,
        bot_verification: None,
        stargifts_count: None,
        send_paid_messages_stars: None,
        main_tab: None,
        guard_bot_id: None,
    };
    let member = chat.members.contains(&caller.account);
    Ok(enums::messages::ChatFull::Full(types::messages::ChatFull {
        full_chat: full.into(),
        chats: vec![caller.viewer.chat(&chat.peer, member)],
        users: Vec::new(),
    })
    .to_bytes())
}

/// `auth.logOut`: nobody is signed in with the key any more.
pub(super) fn log_out(world: &mut World, caller: &Caller) -> Vec<u8> {
    world.accounts[caller.account]
        .outboxes
        .retain(|outbox| !caller.key.has(outbox));
    caller.key.sign_out();
    enums::auth::LoggedOut::Out(types::auth::LoggedOut {
        future_auth_token: None,
    })
    .to_bytes()
}
